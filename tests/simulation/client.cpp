#include "tests/simulation/client.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace mutant::simulation {

namespace {

// A stream of a value; may fail at its middle.
chunk_source_actor::behavior_type stream_source(chunk_source_actor::pointer, std::string content, bool fails) {
  auto at = std::make_shared<std::size_t>(0);
  return {[at, content = std::move(content), fails](caf::atom_constant<caf::atom("pull")>,
                                                    std::uint32_t wanted) -> caf::result<bytes> {
    if (fails && *at >= content.size() / 2)
      return to_caf({errc::io_error, "the source failed"});
    auto piece = content.substr(*at, wanted);
    *at += piece.size();
    return bytes::copy_of(piece);
  }};
}

chunk_sink_actor::behavior_type stream_sink(chunk_sink_actor::pointer, std::shared_ptr<std::string> out) {
  return {[out](caf::atom_constant<caf::atom("push")>, const bytes& piece) {
    *out += as_text(piece);
    return done{};
  }};
}

file_ptr memory_file(std::string_view content) {
  auto file = std::make_shared<const open_file>(::memfd_create("simulated", MFD_CLOEXEC));
  if (::pwrite(file->descriptor(), content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()))
    return nullptr;
  return file;
}

std::string content_of(const open_file& file, std::size_t size) {
  std::string out(size, '\0');
  auto n = ::pread(file.descriptor(), out.data(), size, 0);
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return out;
}

std::uint64_t count_in(std::string_view content) {
  return content.starts_with("counter ") ? std::strtoull(std::string(content.substr(8)).c_str(), nullptr, 10) : 0;
}

}  // namespace

void client::next() {
  auto& left = world_.remaining_[home_->writer];
  if (left == 0 || home_->broken)
    return;
  --left;
  auto& d = world_.dice_;
  const auto key = world_.any_key();
  const auto what = d.below(100);
  if (what < 36) {
    std::optional<std::uint64_t> condition;
    if (d.chance(0.2)) {
      const auto* now = world_.reference_.state().find(key);
      condition = d.chance(0.3) || now == nullptr ? 0 : now->version;
    }
    auto& unfinished = world_.unfinished_;
    if (!unfinished.empty() && d.chance(0.3)) {
      auto again = unfinished[d.below(unfinished.size())];
      return put(again.first, again.second, condition, false);
    }
    return put(key, world_.new_content(key), condition, true);
  }
  if (what < 56)
    return get(key);
  if (what < 66)
    return increment();
  if (what < 74)
    return remove(key);
  if (what < 80)
    return rename(key, world_.any_key());
  if (what < 83)
    return assemble(key);
  if (what < 87)
    return list();
  if (what < 93)
    return sync([this] { pause_and_go_on(); });
  if (what < 97 && world_.settings_.purging)
    return purge();
  stats();
}

void client::pause_and_go_on() {
  const auto most = world_.settings_.think_ms;
  const auto pause = std::chrono::milliseconds(most == 0 ? 0 : world_.dice_.below(most + 1));
  auto go_on = deferred{[this] { next(); }};
  if (pause.count() == 0)
    self_->send(self_, std::move(go_on));
  else
    self_->delayed_send(self_, pause, std::move(go_on));
}

value_source client::source_of(const std::string& content, bool* fails) {
  auto& d = world_.dice_;
  switch (d.below(3)) {
    case 0: return bytes::copy_of(content);
    case 1:
      if (auto file = memory_file(content))
        return file_source{file, "a simulated file"};
      return bytes::copy_of(content);
    default: {
      *fails = content.size() > 1 && d.chance(0.1);
      return self_->spawn(stream_source, content, *fails);
    }
  }
}

void client::put(const std::string& key, std::string content, std::optional<std::uint64_t> if_version, bool may_cancel) {
  auto& d = world_.dice_;
  attempt a;
  a.what = attempt::kind::put;
  a.writer = home_->id;
  a.key = key;
  a.content = content;
  a.if_version = if_version;
  const auto number = world_.reference_.begin(std::move(a));
  bool fails = false;
  put_request request{key, source_of(content, &fails), if_version, {}};
  request.in_pads = d.chance(0.3);
  const auto cancels = may_cancel && d.chance(0.1);
  // Without a ticket, small values are put many at a time.
  if (cancels || d.chance(0.3))
    request.options.cancellation_id = (home_->writer + 1) * 1'000'000 + ++last_ticket_ * 1000 + self_->id() % 1000;
  auto t = world_.ask(home_, "put of " + std::to_string(content.size()) + " bytes to " + key, number);
  const auto size = content.size();
  if (cancels) {
    auto cancel = [this, id = request.options.cancellation_id] { self_->send(home_->store, cancel_atom_v, id); };
    self_->delayed_send(self_, std::chrono::milliseconds(d.below(50)), deferred{cancel});
  }
  self_->request(home_->store, caf::infinite, put_atom_v, std::move(request))
      .then(
          [this, t, number, size, key](put_result& r) {
            world_.answered(t, "put done");
            world_.reference_.succeeded(number, r.version);
            if (r.size != size)
              world_.reference_.violate("a put of " + std::to_string(size) + " bytes says that it stored "
                                        + std::to_string(r.size));
            home_->at_least = std::max(home_->at_least, r.version);
            pause_and_go_on();
          },
          [this, t, key, content](caf::error& e) {
            auto cause = from_caf(e);
            if (content.size() > 1 && world_.unfinished_.size() < 8)
              world_.unfinished_.emplace_back(key, content);
            world_.failed(t, cause);
            pause_and_go_on();
          });
}

void client::get(const std::string& key) {
  auto& d = world_.dice_;
  get_request request;
  request.key = key;
  if (d.chance(0.3)) {
    request.offset = d.below(300);
    if (d.chance(0.5))
      request.length = d.below(200);
  }
  auto collected = std::make_shared<std::string>();
  file_ptr file;
  const auto kind = d.below(3);
  if (kind == 1)
    request.sink = self_->spawn(stream_sink, collected);
  else if (kind == 2 && (file = memory_file({})))
    request.sink = file_sink{file, "a simulated file"};
  const auto offset = request.offset;
  const auto at_least = home_->at_least;
  auto t = world_.ask(home_, "get of " + key);
  self_->request(home_->store, caf::infinite, get_atom_v, std::move(request))
      .then(
          [=, this](get_result& r) {
            world_.answered(t, "get done");
            auto content = kind == 1 ? *collected : file ? content_of(*file, r.bytes_read) : std::string(as_text(r.value));
            auto& reference = world_.reference_;
            if (content.size() != r.bytes_read)
              reference.violate("a get of " + key + " says " + std::to_string(r.bytes_read) + " bytes and gave "
                                + std::to_string(content.size()));
            reference.saw_value(key, r.version, offset, content, {at_least, reference.sequence()});
            home_->at_least = std::max(home_->at_least, r.version);
            pause_and_go_on();
          },
          [=, this](caf::error& e) {
            auto cause = from_caf(e);
            auto& reference = world_.reference_;
            if (cause.code == errc::key_not_found)
              reference.saw_nothing(key, {at_least, reference.sequence()});
            reference.saw_part(key, offset, *collected);
            world_.failed(t, cause);
            pause_and_go_on();
          });
}

void client::remove(const std::string& key) {
  attempt a;
  a.what = attempt::kind::remove;
  a.writer = home_->id;
  a.key = key;
  const auto* now = world_.reference_.state().find(key);
  if (now != nullptr && world_.dice_.chance(0.3))
    a.if_version = now->version;
  remove_request request;
  request.key = key;
  request.if_version = a.if_version;
  request.wipe = world_.dice_.chance(0.3);
  const auto number = world_.reference_.begin(std::move(a));
  auto t = world_.ask(home_, "remove of " + key, number);
  self_->request(home_->store, caf::infinite, remove_atom_v, std::move(request))
      .then(
          [this, t, number](done) {
            world_.answered(t, "remove done");
            world_.reference_.removed(number);
            pause_and_go_on();
          },
          [this, t](caf::error& e) {
            world_.failed(t, from_caf(e));
            pause_and_go_on();
          });
}

void client::rename(const std::string& from, const std::string& to) {
  attempt a;
  a.what = attempt::kind::rename;
  a.writer = home_->id;
  a.key = from;
  a.to = to;
  // To its own name it is no change, and no commit.
  const auto number = from == to ? std::nullopt : std::optional(world_.reference_.begin(std::move(a)));
  auto t = world_.ask(home_, "rename of " + from + " to " + to, number);
  self_->request(home_->store, caf::infinite, rename_atom_v, rename_request{from, to})
      .then(
          [this, t, number](done) {
            world_.answered(t, "rename done");
            if (number)
              world_.reference_.succeeded(*number, std::nullopt);
            pause_and_go_on();
          },
          [this, t](caf::error& e) {
            world_.failed(t, from_caf(e));
            pause_and_go_on();
          });
}

// Of values that lie in pads, or seem to: the reference may know more than this store does.
void client::assemble(const std::string& key) {
  auto& d = world_.dice_;
  const auto& state = world_.reference_.state();
  assemble_request request;
  request.key = key;
  request.attributes = attribute_map{{"x-made", std::to_string(world_.contents_)}};
  std::vector<std::string> names;
  for (const auto& item : state.list("key/", {}, 1000)) {
    const auto* there = item.complete;
    if (there == nullptr || item.key == key || request.parts.size() == 3 || d.chance(0.3) || (!there->chunks && !d.chance(0.1)))
      continue;
    request.parts.push_back({item.key, there->version});
    names.push_back(item.key);
  }
  if (const auto* now = state.find(key); d.chance(0.2))
    request.if_version = now != nullptr ? now->version : 0;
  attempt a;
  a.what = attempt::kind::assemble;
  a.writer = home_->id;
  a.key = key;
  a.to = names_of(names);
  a.if_version = request.if_version;
  const auto number = world_.reference_.begin(std::move(a));
  auto t = world_.ask(home_, "assemble of " + key + " from " + names_of(names), number);
  self_->request(home_->store, caf::infinite, assemble_atom_v, std::move(request))
      .then(
          [this, t, number](commit_result& r) {
            world_.answered(t, "assemble done");
            world_.reference_.succeeded(number, r.version);
            home_->at_least = std::max(home_->at_least, r.version);
            pause_and_go_on();
          },
          [this, t](caf::error& e) {
            world_.failed(t, from_caf(e));
            pause_and_go_on();
          });
}

void client::list() {
  const auto at_least = home_->at_least;
  auto t = world_.ask(home_, "list");
  self_->request(home_->store, caf::infinite, list_atom_v, list_request{})
      .then(
          [this, t, at_least](list_page& page) {
            world_.answered(t, "list done");
            std::vector<std::pair<std::string, std::uint64_t>> items;
            for (const auto& item : page)
              if (item.version != 0)
                items.emplace_back(item.key, item.version);
            world_.reference_.saw_list(items, {at_least, world_.reference_.sequence()});
            pause_and_go_on();
          },
          [this, t](caf::error& e) {
            world_.failed(t, from_caf(e));
            pause_and_go_on();
          });
}

void client::sync(then_step then) {
  const auto before = world_.reference_.sequence();
  auto t = world_.ask(home_, "sync");
  self_->request(home_->store, caf::infinite, sync_atom_v)
      .then(
          [this, t, before, then](sync_report& r) {
            world_.answered(t, "sync done");
            auto& reference = world_.reference_;
            if (r.sequence > reference.sequence())
              reference.violate("a sync saw commit " + std::to_string(r.sequence) + ", which is not there");
            if (r.sequence < before && !world_.settings_.untrue_reads())
              reference.violate("a sync ended at commit " + std::to_string(r.sequence) + "; when it began there was commit "
                                + std::to_string(before));
            home_->at_least = std::max(home_->at_least, r.sequence);
            then();
          },
          [this, t, then](caf::error& e) {
            world_.failed(t, from_caf(e));
            then();
          });
}

void client::stats() {
  const auto at_least = home_->at_least;
  auto t = world_.ask(home_, "stats");
  self_->request(home_->store, caf::infinite, stats_atom_v)
      .then(
          [this, t, at_least](store_stats& r) {
            world_.answered(t, "stats done");
            if (r.index.sequence < at_least || r.index.sequence > world_.reference_.sequence())
              world_.reference_.violate("stats are of commit " + std::to_string(r.index.sequence));
            home_->at_least = std::max(home_->at_least, r.index.sequence);
            pause_and_go_on();
          },
          [this, t](caf::error& e) {
            world_.failed(t, from_caf(e));
            pause_and_go_on();
          });
}

// Compare and swap: reads a counter, and puts one more if nobody was faster.
void client::increment() {
  auto t = world_.ask(home_, "get of the counter");
  get_request request;
  request.key = "counter";
  auto write = [this](std::uint64_t count, std::uint64_t version) {
    auto content = "counter " + std::to_string(count + 1) + " #" + std::to_string(++world_.contents_);
    put("counter", content + std::string(world_.dice_.chance(0.5) ? 80 : 0, '.'), version, false);
  };
  self_->request(home_->store, caf::infinite, get_atom_v, std::move(request))
      .then(
          [this, t, write](get_result& r) {
            world_.answered(t, "get done");
            write(count_in(as_text(r.value)), r.version);
          },
          [this, t, write](caf::error& e) {
            auto cause = from_caf(e);
            world_.failed(t, cause);
            if (cause.code == errc::key_not_found)
              write(0, 0);
            else
              pause_and_go_on();
          });
}

void client::purge() {
  purge_request request;
  request.dry_run = world_.dice_.chance(0.2);
  request.wipe = world_.dice_.chance(0.4);
  request.drop_uploads = world_.dice_.chance(0.1);
  auto t = world_.ask(home_, "purge");
  self_->request(home_->store, caf::infinite, purge_atom_v, std::move(request))
      .then(
          [this, t](purge_result&) {
            world_.answered(t, "purge done");
            pause_and_go_on();
          },
          [this, t](caf::error& e) {
            world_.failed(t, from_caf(e));
            pause_and_go_on();
          });
}

void client::last_words(unsigned tries, std::function<void()> then) {
  const auto key = "last/" + std::to_string(home_->writer);
  auto& reference = world_.reference_;
  const auto content = world_.new_content(key);
  attempt a;
  a.writer = home_->id;
  a.key = key;
  a.content = content;
  const auto number = reference.begin(std::move(a));
  auto again = [this, tries, then](const error& e) {
    if (home_->broken)
      return then();  // it is started again
    if (tries <= 1) {
      world_.reference_.violate("without any faults a store of writer " + std::to_string(home_->writer)
                                + " still fails: " + mutant::to_string(e));
      return then();
    }
    self_->delayed_send(self_, std::chrono::seconds(30), deferred{[this, tries, then] { last_words(tries - 1, then); }});
  };
  auto listed = [this, then](list_page& page) {
    std::vector<std::pair<std::string, std::uint64_t>> items;
    for (const auto& item : page)
      if (item.version != 0)
        items.emplace_back(item.key, item.version);
    world_.reference_.saw_list(items, {home_->at_least, world_.reference_.sequence()});
    then();
  };
  auto t = world_.ask(home_, "last put", number);
  self_->request(home_->store, caf::infinite, put_atom_v, put_request{key, bytes::copy_of(content), std::nullopt, {}})
      .then(
          [=, this](put_result& r) {
            world_.answered(t, "last put done");
            world_.reference_.succeeded(number, r.version);
            home_->at_least = std::max(home_->at_least, r.version);
            sync([=, this] {
              auto u = world_.ask(home_, "last list");
              self_->request(home_->store, caf::infinite, list_atom_v, list_request{})
                  .then(
                      [=, this](list_page& page) {
                        world_.answered(u, "last list done");
                        listed(page);
                      },
                      [=, this](caf::error& e) {
                        world_.failed(u, from_caf(e));
                        again(from_caf(e));
                      });
            });
          },
          [=, this](caf::error& e) {
            auto cause = from_caf(e);
            world_.failed(t, cause);
            again(cause);
          });
}

}  // namespace mutant::simulation
