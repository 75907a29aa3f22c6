#include "actors/node/node_admission.hpp"

#include <algorithm>

namespace mutant {

node_admission::id node_admission::arrive(const std::string& address) {
  const auto own = strangers_.find(address);
  if (own != strangers_.end() && own->second >= limits_.max_newcomers_per_address)
    send_away_oldest_newcomer(address, "too many connections from its address have not greeted");
  else if (newcomers_.size() >= limits_.max_newcomers)
    send_away_oldest_newcomer(std::ranges::max_element(strangers_, {}, [](const auto& s) { return s.second; })->first,
                              "too many connections have not greeted");
  const auto who = ++last_id_;
  newcomers_.emplace(who, newcomer{address});
  ++strangers_[address];
  return who;
}

void node_admission::begun(id who) {
  if (const auto found = newcomers_.find(who); found != newcomers_.end())
    found->second.silent = false;
}

result<std::uint64_t> node_admission::greet(id who, const std::string& certificate,
                                            std::shared_ptr<const session_activity> activity) {
  const auto found = newcomers_.find(who);
  if (found == newcomers_.end())
    return fail(errc::overloaded, "it had to go");
  const auto& address = found->second.address;
  session asking{address, certificate, certificate.empty() ? address : certificate, std::move(activity)};
  leave(who);
  if (!make_place(asking))
    return fail(errc::overloaded, "all " + std::to_string(sessions_.size()) + " connections of clients are at work");
  const auto number = number_of(asking.client);
  sessions_.emplace(who, std::move(asking));
  return number;
}

template <class Which>
node_admission::session_map::const_iterator node_admission::max_idle(Which which) const {
  auto best = sessions_.end();
  for (auto i = sessions_.begin(); i != sessions_.end(); ++i)
    if (!i->second.activity->busy && which(i->second)
        && (best == sessions_.end() || i->second.activity->last < best->second.activity->last))
      best = i;
  return best;
}

template <class Which>
std::size_t node_admission::count(Which which) const {
  return static_cast<std::size_t>(std::ranges::count_if(sessions_, [&](const auto& s) { return which(s.second); }));
}

bool node_admission::make_place(const session& asking) {
  // Of its own address and certificate first: whoever has its share replaces its own.
  const auto within_share = [&](auto which, std::size_t share, const std::string& why) {
    if (count(which) < share)
      return true;
    const auto victim = max_idle(which);
    if (victim == sessions_.end())
      return false;
    send_away(victim->first, why);
    return true;
  };
  const auto same_certificate = [&](const session& s) { return s.certificate == asking.certificate; };
  const auto same_address = [&](const session& s) { return s.address == asking.address; };
  if (!asking.certificate.empty()
      && !within_share(same_certificate, limits_.of_a_certificate(), "its certificate has as many connections as it may"))
    return false;
  if (!within_share(same_address, limits_.of_an_address(), "its address has as many connections as it may"))
    return false;
  if (sessions_.size() < limits_.max_sessions)
    return true;
  const std::string full = "there are as many connections as may be";
  const auto most = std::ranges::max_element(clients_, {}, [](const auto& c) { return c.second.sessions; });
  const auto of_most = [&](const session& s) { return s.client == most->first; };
  auto victim = max_idle(of_most);
  if (victim == sessions_.end())
    victim = max_idle([](const session&) { return true; });
  if (victim == sessions_.end()) {
    const auto own = clients_.find(asking.client);
    if (most->second.sessions <= (own == clients_.end() ? 0 : own->second.sessions) + 1)
      return false;
    victim = std::ranges::find_if(sessions_, [&](const auto& s) { return of_most(s.second); });
  }
  send_away(victim->first, full);
  return true;
}

void node_admission::send_away(id who, const std::string& why) {
  leave(who);
  out_(who, "it gave way to others: " + why);
}

void node_admission::send_away_oldest_newcomer(const std::string& address, const std::string& why) {
  const auto is_silent = [&](const auto& n) { return n.second.address == address && n.second.silent; };
  auto victim = std::ranges::find_if(newcomers_, is_silent);
  if (victim == newcomers_.end())
    victim = std::ranges::find(newcomers_, address, [](const auto& n) { return n.second.address; });
  send_away(victim->first, why);
}

bool node_admission::make_room(const std::string& why) {
  if (!newcomers_.empty()) {
    send_away(newcomers_.begin()->first, why);
    return true;
  }
  const auto victim = max_idle([](const session&) { return true; });
  if (victim == sessions_.end())
    return false;
  send_away(victim->first, why);
  return true;
}

void node_admission::leave(id who) {
  if (const auto n = newcomers_.find(who); n != newcomers_.end()) {
    const auto strangers = strangers_.find(n->second.address);
    if (--strangers->second == 0)
      strangers_.erase(strangers);
    newcomers_.erase(n);
  } else if (const auto s = sessions_.find(who); s != sessions_.end()) {
    forget_client(s->second.client);
    sessions_.erase(s);
  }
}

std::uint64_t node_admission::number_of(const std::string& client) {
  auto& known = clients_[client];
  if (known.sessions++ == 0)
    known.number = ++last_client_;
  return known.number;
}

void node_admission::forget_client(const std::string& client) {
  const auto known = clients_.find(client);
  if (--known->second.sessions == 0)
    clients_.erase(known);
}

}  // namespace mutant
