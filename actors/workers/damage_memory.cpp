#include "actors/workers/damage_memory.hpp"

#include "actors/caf/log.hpp"

namespace mutant {

namespace {

using self_pointer = damage_memory_actor::stateful_pointer<damage_memory_state>;

}  // namespace

// Answers that are on their way keep the set that they were given.
void damage_memory_state::add(const std::set<pad_ref>& pads) {
  if (pads.empty() || known->size() + pads.size() > 2 * max_damaged_pads)
    return;
  auto more = *known;
  more.insert(pads.begin(), pads.end());
  known = std::make_shared<const std::set<pad_ref>>(std::move(more));
}

damage_memory_actor::behavior_type damage_memory(self_pointer self, damage_memory_options options) {
  self->state.options = std::move(options);
  return {
      [self](note_atom, const pad_list& pads) -> caf::result<done> {
        auto& s = self->state;
        s.add({pads.begin(), pads.end()});
        if (s.options.path.empty())
          return done{};
        auto promise = self->make_response_promise<done>();
        auto answered = [promise]() mutable { promise.deliver(done{}); };
        self->request(s.options.crypto, caf::infinite, note_atom_v, note_damage_job{s.options.path, pads})
            .then([answered](done) mutable { answered(); }, [answered](caf::error&) mutable { answered(); });
        return promise;
      },
      // Another process may have noted some since.
      [self](find_atom) -> caf::result<damaged_pads> {
        auto& s = self->state;
        if (s.options.path.empty())
          return s.known;
        auto promise = self->make_response_promise<damaged_pads>();
        self->request(s.options.crypto, caf::infinite, open_atom_v, read_damage_job{s.options.path})
            .then(
                [self, promise](const damaged_pads& there) mutable {
                  self->state.add(*there);
                  promise.deliver(self->state.known);
                },
                [self, promise](caf::error&) mutable { promise.deliver(self->state.known); });
        return promise;
      },
  };
}

bool says_damaged(errc code) noexcept {
  // unsupported: the record says that it is of another format. bad_signature: in a shared store, somebody who may read sealed
  // it, or its signature is damaged; another node, or the next answer, may have what the owner wrote.
  return code == errc::decrypt_failed || code == errc::corrupt_record || code == errc::bad_signature
         || code == errc::unsupported;
}

bool says_unreadable(errc code) noexcept {
  switch (code) {
    case errc::pad_not_found:
    case errc::pad_conflict:
    case errc::bad_signature:
    case errc::corrupt_record:
    case errc::decrypt_failed:
    case errc::unsupported:     // the record says that it is of another format
    case errc::store_damaged:   // of the file that the pad lies in
    case errc::io_error: return true;
    default: return false;
  }
}

bool shows_chunk(byte_view head, const pad_address& address, const chunk& what) {
  const auto header = verify_head(head, address);
  if (!header || header->counter != what.pad.counter || header->blank || header->kind != encoding::private_data)
    return false;
  const auto plain_bytes = what.length + private_overhead_bytes;
  return what.encoding == chunk_encoding::plain ? header->payload_bytes == plain_bytes : header->payload_bytes < plain_bytes;
}

}  // namespace mutant
