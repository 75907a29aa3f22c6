// Requests to a pad store by a thread that is no actor and waits, several of them under way. The store bounds their time.
#pragma once

#include <deque>

#include "actors/interfaces.hpp"

namespace mutant {

class pad_requests {
 public:
  pad_requests(caf::actor_system& system, pad_store_actor store, std::size_t window)
      : self_(system), store_(std::move(store)), window_(window) {}

  result<bytes> get(const pad_address& address) { return wait<bytes>(get_atom_v, pad_query{address}); }
  result<bytes> head(const pad_address& address) { return wait<bytes>(head_atom_v, pad_query{address}); }
  result<void> put(bytes record) {
    auto out = wait<done>(put_atom_v, std::move(record));
    return out ? result<void>() : fail(out.error());
  }
  // Calls `visit` with the number of each address and its record, in order; it returns whether to go on.
  template <class Visit>
  void get_all(const std::vector<pad_address>& addresses, Visit visit) {
    std::deque<decltype(self_->request(store_, caf::infinite, get_atom_v, pad_query{}))> under_way;
    bool goes_on = true;
    for (std::size_t i = 0, next = 0; i < addresses.size(); ++i) {
      for (; goes_on && next < addresses.size() && next - i < window_; ++next)
        under_way.push_back(self_->request(store_, caf::infinite, get_atom_v, pad_query{addresses[next]}));
      if (under_way.empty())
        return;
      auto answer = receive<bytes>(under_way.front());
      under_way.pop_front();
      goes_on = goes_on && visit(i, std::move(answer));
    }
  }

 private:
  template <class T, class Handle>
  static result<T> receive(Handle& handle) {
    result<T> out = fail(errc::unreachable, "no answer");
    handle.receive([&](T& answer) { out = std::move(answer); }, [&](caf::error& cause) { out = fail(from_caf(cause)); });
    return out;
  }
  template <class T, class... Words>
  result<T> wait(Words&&... words) {
    auto handle = self_->request(store_, caf::infinite, std::forward<Words>(words)...);
    return receive<T>(handle);
  }

  caf::scoped_actor self_;
  pad_store_actor store_;
  std::size_t window_;
};

}  // namespace mutant
