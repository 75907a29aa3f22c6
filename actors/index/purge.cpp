// The index's side of purge, which pads nobody uses and which snapshot parts no root names; and the roots that are written
// because somebody asked for it.
#include <algorithm>

#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"

namespace mutant {

namespace {

constexpr std::uint32_t max_surveyed_at_once = 1024;
constexpr std::uint64_t max_numbers_at_once = 16384;  // looked at in one message
// Crashed writers may have written pads above next_pad; there are few of them.
constexpr std::uint64_t survey_beyond = 256;
constexpr std::uint64_t parts_beyond = 64;
// A purge that died below the floor has left some.
constexpr std::uint64_t parts_again = 1024;

}  // namespace

// The counter in the page's reservation is 0: these pads come back, they are not written.
survey_page index_actor_state::survey(const survey_request& request, const caf::strong_actor_ptr& owner) {
  survey_page page;
  pad_list taken;
  const auto limit = std::clamp<std::uint32_t>(request.limit, 1, max_surveyed_at_once);
  const auto end = std::max(data.next_pad(), pads.next_new()) + survey_beyond;
  const auto stop = std::min(end, request.from + max_numbers_at_once);
  auto number = request.from;
  for (; number < stop && page.pads.size() < limit; ++number) {
    if (data.in_use(number) || !pads.is_idle(number))
      continue;
    page.pads.push_back({number, data.free_counter(number)});
    taken.push_back({number, 0});
  }
  page.next_pad = data.next_pad();
  page.next = number;
  page.last = number >= end;
  pads.hold(taken, owners.watched(self, owner));
  return page;
}

pad_list index_actor_state::claim(const claim_request& request, const caf::strong_actor_ptr& owner) {
  pad_list out;
  for (auto number : request.numbers)
    if (auto counter = data.free_counter(number); counter && pads.is_idle(number))
      out.push_back({number, *counter});
  pads.hold(out, owners.watched(self, owner));
  return out;
}

// -- roots that were asked for -------------------------------------------------------------------------------------------

template <class Out>
void index_actor_state::when_root_is_free(const owed<Out>& promise, caf::actor_clock::time_point until, bool no_snapshots,
                                          next_step go) {
  if (const auto why = failure ? failure : only_read())
    return promise->deliver(to_caf(*why));
  const auto snapshots_run = snapshots.delta_under_way || snapshots.compacting;
  if (is_open && !log_busy && !opening.reload_wanted && !known_root.busy && !(no_snapshots && snapshots_run))
    return go();
  if (known_root.trouble || self->clock().now() >= until)
    return promise->deliver(to_caf(
        known_root.trouble.value_or(error{errc::timeout, "the index was busy for too long; nothing was done"})));
  self->delayed_send(self, options.retry_pause, deferred{[this, promise, until, no_snapshots, go] {
                       when_root_is_free(promise, until, no_snapshots, go);
                     }});
}

template <class Out>
void index_actor_state::replace_root_for(const owed<Out>& promise, root next, next_step go_on, next_step again) {
  auto settled = [promise, go_on, again](result<void> replaced) {
    if (!promise->promise().pending())
      return;  // it came too late
    if (replaced)
      return go_on();
    if (replaced.error().code == errc::pad_conflict)
      return again();
    promise->deliver(to_caf(replaced.error()));
  };
  replace_root(std::move(next), settled, [promise](const error& late) { promise->deliver(to_caf(late)); });
}

// A snapshot that another writer is just making has parts that no root names yet. Writing the root once more makes its own
// root write fail, and no root after this one names anything new below its parts_floor: so what it does not name, none will.
void index_actor_state::purge_parts(bool dry_run, const owed<std::uint64_t>& promise, caf::actor_clock::time_point until) {
  when_root_is_free(promise, until, true, [this, dry_run, promise, until] {
    if (known_root.counter == 0)
      return promise->deliver(std::uint64_t{0});
    const auto end = known_root.unused_part + parts_beyond;
    const auto from = known_root.what.parts_floor - std::min(known_root.what.parts_floor, parts_again);
    auto look = [this, dry_run, from, end, promise] {
      std::set<std::uint64_t> named;
      for (const auto& part : known_root.what.parts)
        named.insert(part.pad.number);
      std::vector<std::uint64_t> numbers;
      for (auto number = from; number < end; ++number)
        if (!named.contains(number))
          numbers.push_back(number);
      look_at_parts(std::move(numbers), dry_run, promise);
    };
    if (dry_run)
      return look();
    known_root.unused_part = end;
    auto fence = known_root.what;
    fence.next_part = fence.parts_floor = end;
    replace_root_for(promise, std::move(fence), look,
                     [this, dry_run, promise, until] { purge_parts(dry_run, promise, until); });
  });
}

void index_actor_state::share(const owed<done>& promise, caf::actor_clock::time_point until) {
  when_root_is_free(promise, until, false, [this, promise, until] {
    if (known_root.counter == 0)
      return promise->deliver(to_caf({errc::key_not_found, "nothing is stored yet: there is nothing to share"}));
    if (known_root.what.shared)
      return promise->deliver(done{});
    auto next = known_root.what;
    next.shared = true;
    replace_root_for(promise, std::move(next), [promise] { promise->deliver(done{}); },
                     [this, promise, until] { share(promise, until); });
  });
}

// One after the other: this is never urgent.
void index_actor_state::look_at_parts(std::vector<std::uint64_t> numbers, bool dry_run, const owed<std::uint64_t>& promise) {
  struct walk {
    std::vector<std::uint64_t> numbers;
    address_list addresses;
    std::vector<part_ref> found;
    std::size_t at = 0;
  };
  auto w = std::make_shared<walk>();
  w->numbers = numbers;
  auto finish = [this, w, dry_run, promise]() mutable {
    if (!dry_run)
      erase_parts(w->found);
    promise->deliver(static_cast<std::uint64_t>(w->found.size()));
  };
  auto step = std::make_shared<std::function<void()>>();
  *step = [this, w, promise, finish, weak = std::weak_ptr(step)]() mutable {
    auto again = weak.lock();
    if (w->at == w->addresses.size())
      return finish();
    ask(self, options.pads, options.timeout, head_atom_v, pad_query{w->addresses[w->at]})
        .then(
            [w, again](bytes& head) {
              // Only what the owner signed: a counter that was made up would make a number useless for good.
              if (auto header = verify_head(head, w->addresses[w->at]); header && header->counter < max_number)
                w->found.push_back({{w->numbers[w->at], header->counter}, 0, 0, false, {}, {}});
              ++w->at;
              (*again)();
            },
            [w, again, promise](caf::error& cause) mutable {
              if (from_caf(cause).code != errc::pad_not_found)
                return void(promise->deliver(std::move(cause)));
              ++w->at;
              (*again)();
            });
  };
  ask(self, options.crypto, options.timeout, address_atom_v, address_job{pad_space::part, std::move(numbers)})
      .then(
          [w, step](address_list& addresses) {
            w->addresses = std::move(addresses);
            (*step)();
          },
          [promise](caf::error& cause) mutable { promise->deliver(std::move(cause)); });
}

}  // namespace mutant
