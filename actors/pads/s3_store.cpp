#include "actors/pads/s3_store.hpp"

#include <algorithm>

#include "core/engine/write_rule.hpp"
#include "core/limits.hpp"

namespace mutant {

namespace {

using self_pointer = s3_store_state::self_pointer;
using s3::verdict;

// Steps of one request before it is given back as `overloaded`: others keep writing the very pad.
constexpr unsigned max_steps = 16;
constexpr auto min_pause = std::chrono::milliseconds(20);
constexpr unsigned max_doublings = 5;
// Of a bucket's listing, a thousand objects each.
constexpr unsigned max_pages = 10'000;

error not_a_record(const pad_address& pad, const std::string& why) {
  return {errc::corrupt_record, "the object of pad " + short_name(pad) + " holds no record of it: " + why};
}

bool is_erased(const bytes& content) {
  return as_text(content) == s3::erased_content;
}

}  // namespace

result<void> s3_store_options::validate() const {
  if (!link)
    return fail(errc::invalid_argument, "an S3 store needs a link to its bucket");
  if (max_known_pads == 0)
    return fail(errc::invalid_argument, "an S3 store remembers one pad at least");
  return limits.validate();
}

s3_store_state::~s3_store_state() {
  close();
}

// From here on no answer comes any more: the actor system may go.
void s3_store_state::close() {
  if (auto link = std::exchange(options.link, nullptr))
    link->close();
}

// -- jobs --------------------------------------------------------------------------------------------------------------------

void s3_store_state::failed(const job_ptr& j, error e) {
  // Other content under the very counter shows that ours was never taken; nothing else does.
  if (j->doubt && e.code != errc::pad_conflict && e.code != errc::timeout)
    e = {errc::timeout, "the server failed at an earlier try, which may have arrived; the last one said: " + to_string(e),
         e.detail};
  auto tell = std::move(j->fail);
  jobs.completed(j);
  tell(std::move(e));
}

void s3_store_state::succeeded(const job_ptr& j) {
  auto tell = std::move(j->done);
  jobs.completed(j);
  tell();
}

std::chrono::milliseconds s3_store_state::pause_after(unsigned tries) {
  random = random * 6364136223846793005u + 1442695040888963407u;
  const auto most = static_cast<std::uint64_t>(min_pause.count()) << std::min(tries, max_doublings);
  return std::chrono::milliseconds(most / 2 + (random >> 33) % (most / 2 + 1));
}

bool s3_store_state::one_more_step(const job_ptr& j) {
  if (++j->steps <= max_steps)
    return true;
  failed(j, {errc::overloaded, "pad " + short_name(j->pad) + " keeps being written by others; try again later"});
  return false;
}

void s3_store_state::send(const job_ptr& j, s3::request asked, step then) {
  if (!one_more_step(j))
    return;
  options.link->send(asked, [this, me = self->address(), j, asked, then](s3::http_answer answer) {
    if (auto there = caf::actor_cast<caf::actor>(me))
      caf::anon_send(there, deferred{[this, j, asked, then, answer = std::move(answer)] { answered(j, asked, then, answer); }});
  });
}

// As bills name them.
void s3_store_state::count(const s3::request& asked, const s3::http_answer& answer, verdict what) {
  if (answer.failure && what == verdict::failed)
    return;  // nothing was sent
  const auto in_part = std::ranges::any_of(asked.headers, [](const auto& h) { return h.first == "Range"; });
  const auto* kind = asked.method == "PUT"      ? "put"
                     : asked.method == "DELETE" ? "delete"
                     : asked.object.empty()     ? "list"
                     : in_part                  ? "get_header"
                                                : "get";
  ++traffic.requests[kind];
  traffic.sent_bytes += asked.body.size();
  traffic.received_bytes += answer.body.size();
  if (what != verdict::done && what != verdict::absent && what != verdict::refused)
    ++traffic.retries;
}

void s3_store_state::send_later(const job_ptr& j, const s3::request& asked, const step& then) {
  self->delayed_send(self, pause_after(j->unreachable_since ? max_doublings : j->steps), deferred{[this, j, asked, then] {
                       if (jobs.is_under_way(j))
                         send(j, asked, then);
                     }});
}

void s3_store_state::answered(const job_ptr& j, const s3::request& asked, const step& then, const s3::http_answer& answer) {
  const auto said = s3::judge(answer, asked, options.where);
  count(asked, answer, said.what);
  if (!jobs.is_under_way(j))
    return;  // the store is closed
  switch (said.what) {
    case verdict::done:
    case verdict::absent:
    case verdict::refused:
      j->unreachable_since.reset();
      if (++good_answers >= jobs.limits.max_flight) {
        good_answers = 0;
        jobs.limits.max_flight = std::min(options.limits.max_flight, jobs.limits.max_flight + 1);
      }
      return then(said.what, answer);
    case verdict::expired:
      options.link->renew_credentials();
      return send(j, asked, then);
    case verdict::skewed:
    case verdict::elsewhere:
      options.link->learn(said, answer);
      // The second time it says the same there is nothing more to be learned.
      if (j->steps > 2)
        return failed(j, said.why);
      return send(j, asked, then);
    case verdict::again:
      return send_later(j, asked, then);
    case verdict::slow_down:
      good_answers = 0;
      jobs.limits.max_flight = std::max<std::size_t>(1, std::min(jobs.limits.max_flight, jobs.in_flight()) / 2);
      return failed(j, said.why);
    case verdict::unknown:
      // A failure that the server itself reports: Ceph's gateway does so for a condition that was lost to another writer. The
      // very same request again tells.
      if (!answer.failure) {
        j->doubt = j->doubt || !asked.body.empty() || asked.method == "DELETE";
        if (j->steps < max_steps)
          return send_later(j, asked, then);
      }
      forget(j->pad);  // it may be there by now, or not
      return failed(j, said.why);
    default:
      // Nothing was sent: that is no try of ours, and what may have been sent before is no more in doubt than it was.
      if (answer.failure && said.why.code == errc::unreachable) {
        const auto now = self->clock().now();
        if (!j->unreachable_since)
          j->unreachable_since = now;
        if (now < *j->unreachable_since + options.connect_patience) {
          --j->steps;
          return send_later(j, asked, then);
        }
      }
      return failed(j, said.why);
  }
}

// -- what is known of pads ---------------------------------------------------------------------------------------------------

void s3_store_state::remember(const pad_address& pad, std::uint64_t counter, std::string etag) {
  etag.empty() ? forget(pad) : note(pad, counter, std::move(etag));
}

void s3_store_state::note(const pad_address& pad, std::uint64_t counter, std::string etag) {
  auto [at, fresh] = known.try_emplace(pad);
  if (fresh)
    at->second.place = recently.insert(recently.end(), pad);
  else
    recently.splice(recently.end(), recently, at->second.place);
  at->second.counter = counter;
  at->second.etag = std::move(etag);
  if (known.size() > options.max_known_pads) {
    known.erase(recently.front());
    recently.pop_front();
  }
}

void s3_store_state::forget(const pad_address& pad) {
  if (auto at = known.find(pad); at != known.end()) {
    recently.erase(at->second.place);
    known.erase(at);
  }
}

// -- writing -----------------------------------------------------------------------------------------------------------------

caf::result<done> s3_store_state::put(bytes record) {
  const auto header = parse_record(record);
  return header ? write(*header, std::move(record), false) : to_caf(header.error());
}

caf::result<done> s3_store_state::erase(bytes blank) {
  const auto header = parse_blank(blank);
  return header ? write(*header, std::move(blank), true) : to_caf(header.error());
}

caf::result<done> s3_store_state::write(const record_header& header, bytes record, bool erasing) {
  if (options.no_writing)
    return to_caf(*options.no_writing);
  if (auto room = jobs.check_room("the bucket"); !room)
    return to_caf(room.error());
  auto promise = self->make_response_promise<done>();
  auto j = std::make_shared<job>();
  j->pad = header.address;
  j->counter = header.counter;
  j->charge = record.size();
  j->record = std::move(record);
  j->erasing = erasing;
  j->done = [promise]() mutable { promise.deliver(mutant::done{}); };
  j->start = [this](const job_ptr& me) { me->erasing ? look(me, false) : begin_put(me); };
  return jobs.push(j, promise);
}

void s3_store_state::begin_put(const job_ptr& j) {
  const auto at = known.find(j->pad);
  if (at != known.end() && at->second.counter < j->counter)
    return at->second.etag.empty() ? make(j) : replace(j, at->second.etag);
  // Nothing is lower than counter 1, so there can be nothing that it replaces. Above it there usually is.
  if (at == known.end() && j->counter == 1)
    return make(j);
  look(j, false);
}

void s3_store_state::make(const job_ptr& j) {
  send(j, s3::make_object(object_of(j), j->record), [this, j](verdict what, const s3::http_answer& answer) {
    if (what == verdict::refused) {
      forget(j->pad);
      return look(j, false);
    }
    if (what == verdict::absent)
      return failed(j, {errc::io_error, "the server says of an object that is to be made that it is not there"});
    remember(j->pad, j->counter, s3::etag_of(answer));
    succeeded(j);
  });
}

void s3_store_state::replace(const job_ptr& j, const std::string& etag) {
  auto content = j->erasing ? bytes::copy_of(s3::erased_content) : j->record;
  send(j, s3::replace_object(object_of(j), std::move(content), options.how, etag),
       [this, j](verdict what, const s3::http_answer& answer) {
         if (what != verdict::done)
           forget(j->pad);
         if (what == verdict::refused)
           return look(j, false);
         if (what == verdict::absent)
           return j->erasing ? succeeded(j) : make(j);
         remember(j->pad, j->erasing ? 0 : j->counter, s3::etag_of(answer));
         succeeded(j);
       });
}

void s3_store_state::look(const job_ptr& j, bool whole) {
  auto asked = whole ? s3::read_object(object_of(j)) : s3::read_front(object_of(j), record_header_bytes);
  send(j, std::move(asked),
       [this, j, whole](verdict what, const s3::http_answer& answer) { looked(j, whole, what, answer); });
}

void s3_store_state::looked(const job_ptr& j, bool whole, verdict what, const s3::http_answer& answer) {
  if (what == verdict::absent) {
    forget(j->pad);
    return j->erasing ? succeeded(j) : make(j);
  }
  if (what == verdict::refused)
    return failed(j, {errc::io_error, "the server refuses to show an object, by a condition that was not made"});
  auto stored = whole ? result<bytes>(answer.body) : s3::front_of(answer, record_header_bytes);
  if (!stored)
    return failed(j, stored.error());
  const auto etag = s3::etag_of(answer);
  if (etag.empty())
    return failed(j, {errc::unsupported, "the server's answer has no ETag, so that nothing can be replaced safely"});
  if (is_erased(*stored)) {
    remember(j->pad, 0, etag);
    return j->erasing ? succeeded(j) : replace(j, etag);
  }
  auto header = parse_header(*stored);
  if (!header || header->address != j->pad)
    return failed(j, not_a_record(j->pad, header ? "it is another pad's" : header.error().message));
  remember(j->pad, header->counter, etag);
  if (j->erasing)
    decide_erase(j, *header, etag);
  else
    decide_put(j, whole, *stored, *header, etag);
}

void s3_store_state::decide_put(const job_ptr& j, bool whole, const bytes& stored, const record_header& header,
                                const std::string& etag) {
  auto ruling = check_write(header, j->counter, [&] {
    return whole ? stored == j->record : stored == j->record.slice(0, record_header_bytes);
  });
  if (!ruling)
    return failed(j, ruling.error());
  if (*ruling == write_verdict::take)
    return replace(j, etag);
  if (!whole && j->record.size() > record_header_bytes)
    return look(j, true);
  succeeded(j);
}

void s3_store_state::decide_erase(const job_ptr& j, const record_header& header, const std::string& etag) {
  if (auto allowed = check_erase(header, j->counter); !allowed)
    return failed(j, allowed.error());
  if (!options.how.conditional_delete)
    return replace(j, etag);
  send(j, s3::remove_object(object_of(j), options.how, etag), [this, j](verdict what, const s3::http_answer&) {
    forget(j->pad);
    if (what == verdict::refused)
      return look(j, false);
    succeeded(j);
  });
}

// -- reading -----------------------------------------------------------------------------------------------------------------

caf::result<bytes> s3_store_state::read(const pad_address& pad, bool whole) {
  if (auto room = jobs.check_room("the bucket"); !room)
    return to_caf(room.error());
  auto promise = self->make_response_promise<bytes>();
  auto j = std::make_shared<job>();
  j->pad = pad;
  j->charge = whole ? max_record_bytes : record_header_bytes;
  auto found = [promise](bytes record) mutable { promise.deliver(std::move(record)); };
  j->start = [this, whole, found](const job_ptr& me) mutable {
    auto asked = whole ? s3::read_object(object_of(me)) : s3::read_front(object_of(me), record_header_bytes);
    send(me, std::move(asked), [this, me, whole, found](verdict what, const s3::http_answer& answer) mutable {
      const auto absent = [&] {
        remember_absent(me->pad);
        failed(me, {errc::pad_not_found, "there is no pad " + short_name(me->pad) + " in the bucket"});
      };
      if (what != verdict::done)
        return absent();
      auto stored = whole ? result<bytes>(answer.body) : s3::front_of(answer, record_header_bytes);
      if (!stored)
        return failed(me, stored.error());
      if (is_erased(*stored)) {
        remember(me->pad, 0, s3::etag_of(answer));
        return failed(me, {errc::pad_not_found, "there is no pad " + short_name(me->pad) + " in the bucket: it was erased"});
      }
      const auto header = whole ? parse_record(*stored) : parse_header(*stored);
      if (!header || header->address != me->pad)
        return failed(me, not_a_record(me->pad, header ? "it is another pad's" : header.error().message));
      remember(me->pad, header->counter, s3::etag_of(answer));
      auto tell = std::move(found);
      jobs.completed(me);
      tell(*stored);
    });
  };
  return jobs.push(j, promise);
}

caf::result<pad_store_stats> s3_store_state::stats() {
  auto promise = self->make_response_promise<pad_store_stats>();
  auto j = std::make_shared<job>();
  auto tell = [promise](pad_store_stats sum) mutable { promise.deliver(sum); };
  j->start = [this, tell](const job_ptr& me) { count_page(me, std::make_shared<pad_store_stats>(), {}, 0, tell); };
  return jobs.push(j, promise);
}

void s3_store_state::count_page(const job_ptr& j, const std::shared_ptr<pad_store_stats>& sum, const std::string& after,
                                unsigned pages, const std::function<void(pad_store_stats)>& tell) {
  j->steps = 0;
  send(j, s3::list_objects(options.where.prefix, after), [=, this](verdict what, const s3::http_answer& answer) {
    auto page = what == verdict::done ? s3::parse_listing(answer)
                                      : fail(errc::io_error, "the server does not list the bucket");
    if (!page)
      return failed(j, page.error());
    sum->pads += page->objects;
    sum->record_bytes += page->object_bytes;
    sum->disk_bytes = sum->record_bytes;
    if (!page->next.empty() && page->next != after && pages + 1 < max_pages)
      return count_page(j, sum, page->next, pages + 1, tell);
    auto whole = *sum;
    whole.traffic = traffic;
    const auto answer_with = tell;
    jobs.completed(j);
    answer_with(whole);
  });
}

s3_store_state::actor_type::behavior_type s3_store(self_pointer self, s3_store_options options) {
  auto& s = self->state;
  s.self = self;
  s.options = std::move(options);
  s.jobs.limits = s.options.limits;
  s.random = s.options.seed != 0 ? s.options.seed : random_u64();
  self->set_exit_handler([self](caf::exit_msg& exit) {
    auto& state = self->state;
    state.close();
    state.jobs.close({errc::unreachable, "the store is closed"},
                     {errc::timeout, "the store was closed before the bucket answered"});
    self->quit(exit.reason);
  });
  return {
      [self](put_atom, bytes& record) { return self->state.put(std::move(record)); },
      [self](put_atom, room_atom, bytes& record) { return self->state.put(std::move(record)); },
      [self](get_atom, const pad_query& query) { return self->state.read(query.address, true); },
      [self](head_atom, const pad_query& query) { return self->state.read(query.address, false); },
      [self](erase_atom, bytes& blank) { return self->state.erase(std::move(blank)); },
      [self](stats_atom) { return self->state.stats(); },
      [](trim_atom) { return std::uint64_t{0}; },
      [](deferred& later) { later.run(); },
  };
}

}  // namespace mutant
