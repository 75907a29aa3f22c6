// A pad store in front of another that means harm: for tests. What an owner's client must withstand, it does.
//
// Shape: it keeps every record that it was ever sent, whether it was taken or refused. A seeded policy decides, request by
// request: a write is refused with any text, and kept all the same; or done, and said to have failed; a read shows
// any other record of the address, a header with a byte or a counter made up, nothing at all, or any error. It cannot sign or
// seal: that is all that it cannot do. With no lies left it is the store behind it. Event-based.
#pragma once

#include <map>
#include <random>

#include "actors/interfaces.hpp"

namespace mutant {

// Chances from 0 to 1, drawn anew for each request.
struct hostile_options {
  double refuse_write = 0;       // kept, not passed on
  double deny_write = 0;         // passed on, and then said to have failed
  double show_another = 0;       // any record of the address that was ever sent, as an answer to a read
  double alter_header = 0;       // a byte of what is read, within its header
  double forge_counter = 0;      // what is read says another counter
  double hide = 0;               // pad_not_found
  double refuse_read = 0;        // an error: any text. Totals are made up besides
  bool any_code = false;         // errors of any code and category, not only of those that a pad store may give

  result<void> validate() const;
};

struct hostile_store_options {
  pad_store_actor store;         // the one behind
  std::uint64_t seed = 1;
  hostile_options lies;
  std::chrono::milliseconds timeout{60'000};   // for one request to the store behind

  result<void> validate() const;
};

// Every record of a pad that was ever sent, in that order.
struct kept_query {
  pad_address address{};
};
// From here on reads of the pad show this record; an empty one: as the policy says.
struct show_instead {
  pad_address address{};
  bytes record;
};

using hostile_store_actor = pad_store_actor::extend<reacts_to<hostile_options>, replies_to<kept_query>::with<record_list>,
                                                    reacts_to<show_instead>>;

struct hostile_store_state {
  static inline const char* name = "hostile_store";

  bool chance(double p);
  void keep(const bytes& record);
  caf::error any_error();
  // What a read of this pad is answered with; nothing: what the store behind says.
  std::optional<caf::expected<bytes>> instead_of(const pad_address& address);
  bytes altered(const bytes& record);

  hostile_store_options options;
  std::mt19937_64 random;
  std::map<pad_address, record_list> kept;
  std::map<pad_address, bytes> shown;
};

// Options must be valid.
hostile_store_actor::behavior_type hostile_store(hostile_store_actor::stateful_pointer<hostile_store_state> self,
                                                 hostile_store_options options);

}  // namespace mutant

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::hostile_options)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::kept_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::show_instead)
