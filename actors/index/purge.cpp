// The index's side of purge: which pads nobody uses, and which snapshot parts no root names.
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
  const auto end = std::max(data.next_pad(), next_new) + survey_beyond;
  const auto stop = std::min(end, request.from + max_numbers_at_once);
  auto number = request.from;
  for (; number < stop && page.pads.size() < limit; ++number) {
    if (data.in_use(number) || held.contains(number) || blocked.contains(number))
      continue;
    page.pads.push_back({number, data.free_counter(number)});
    taken.push_back({number, 0});
  }
  page.next_pad = data.next_pad();
  page.next = number;
  page.last = number >= end;
  hold(taken, owner);
  return page;
}

pad_list index_actor_state::claim(const claim_request& request, const caf::strong_actor_ptr& owner) {
  pad_list out;
  for (auto number : request.numbers)
    if (auto counter = data.free_counter(number); counter && !held.contains(number) && !blocked.contains(number))
      out.push_back({number, *counter});
  hold(out, owner);
  return out;
}

// A snapshot that another writer is just making has parts that no root names yet. Writing the root once more makes its own
// root write fail, and no root after this one names anything new below its parts_floor: so what it does not name, none will.
void index_actor_state::purge_parts(bool dry_run, const owed<std::uint64_t>& promise,
                                    std::optional<caf::actor_clock::time_point> until) {
  if (const auto why = only_read())
    return promise->deliver(to_caf(*why));
  if (!until)
    until = self->clock().now() + options.timeout;
  if (!is_open || writing || reload_wanted || root_busy || delta_running || compacting) {
    if (root_trouble || self->clock().now() >= *until)
      return promise->deliver(
          to_caf(root_trouble.value_or(error{errc::timeout, "the index was busy for too long; nothing was purged"})));
    self->delayed_send(self, options.retry_pause, deferred{[this, dry_run, promise, until]() mutable {
                         if (failure)
                           promise->deliver(to_caf(*failure));
                         else
                           purge_parts(dry_run, promise, until);
                       }});
    return;
  }
  if (root_counter == 0) {
    promise->deliver(std::uint64_t{0});
    return;
  }
  const auto end = next_part + parts_beyond;
  const auto from = known_root.parts_floor - std::min(known_root.parts_floor, parts_again);
  auto look = [this, dry_run, from, end, promise] {
    std::set<std::uint64_t> named;
    for (const auto& part : known_root.parts)
      named.insert(part.pad.number);
    std::vector<std::uint64_t> numbers;
    for (auto number = from; number < end; ++number)
      if (!named.contains(number))
        numbers.push_back(number);
    look_at_parts(std::move(numbers), dry_run, promise);
  };
  if (dry_run)
    return look();
  next_part = end;
  auto fence = known_root;
  fence.next_part = fence.parts_floor = end;
  auto replaced_or_not = [this, look, dry_run, promise, until](result<void> replaced) {
    if (!promise->promise().pending())
      return;  // it came too late
    if (replaced)
      return look();
    if (replaced.error().code == errc::pad_conflict)
      return purge_parts(dry_run, promise, until);  // another writer's root came first
    promise->deliver(to_caf(replaced.error()));
  };
  replace_root(std::move(fence), replaced_or_not, [promise](const error& late) { promise->deliver(to_caf(late)); });
}

void index_actor_state::share(const owed<done>& promise, caf::actor_clock::time_point until) {
  if (const auto why = failure ? failure : only_read())
    return promise->deliver(to_caf(*why));
  if (!is_open || writing || reload_wanted || root_busy) {
    if (root_trouble || self->clock().now() >= until)
      return promise->deliver(
          to_caf(root_trouble.value_or(error{errc::timeout, "the index was busy for too long; nothing was changed"})));
    self->delayed_send(self, options.retry_pause, deferred{[this, promise, until] { share(promise, until); }});
    return;
  }
  if (root_counter == 0)
    return promise->deliver(to_caf({errc::key_not_found, "nothing is stored yet: there is nothing to share"}));
  if (known_root.shared)
    return promise->deliver(done{});
  auto next = known_root;
  next.shared = true;
  auto replaced_or_not = [this, promise, until](result<void> replaced) {
    if (!promise->promise().pending())
      return;  // it came too late
    if (replaced)
      return promise->deliver(done{});
    if (replaced.error().code == errc::pad_conflict)
      return share(promise, until);  // another writer's root came first
    promise->deliver(to_caf(replaced.error()));
  };
  replace_root(std::move(next), replaced_or_not, [promise](const error& late) { promise->deliver(to_caf(late)); });
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
