#include "actors/net/transport.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/acceptor_impl.hpp>
#include <caf/io/network/stream_impl.hpp>
#include <array>
#include <cerrno>
#include <cstring>

namespace mutant {

namespace {

namespace net = caf::io::network;

constexpr int keep_alive_idle_s = 10;
constexpr int keep_alive_interval_s = 5;
constexpr int keep_alive_probes = 3;
constexpr unsigned user_timeout_ms = 30'000;
// A flood must not keep an honest client's connection out of the kernel's queue, and the queue must be worked off quickly.
constexpr int backlog = 1024;
// At a time. Fewer than the places of one address's newcomers, so that whoever is among them is read from before it has to go.
constexpr int max_accepts = 8;


template <class T>
void set_option(int descriptor, int level, int name, T value) noexcept {
  // Best effort: without it a dead peer is noticed later.
  ::setsockopt(descriptor, level, name, &value, sizeof value);
}

void watch_for_dead_peers(int descriptor) noexcept {
  set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, keep_alive_idle_s);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, keep_alive_interval_s);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, keep_alive_probes);
  set_option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout_ms);
}

const sockaddr* as_sockaddr(const socket_address& address) noexcept {
  return reinterpret_cast<const sockaddr*>(address.raw.data());
}

bool is_loopback(const sockaddr* address) noexcept {
  if (address->sa_family == AF_INET)
    return (ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24) == 127;
  const auto& v6 = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

// IPv4 through a socket of IPv6 is IPv4.
sockaddr_storage unmapped(const sockaddr_storage& address) noexcept {
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  if (address.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
    return address;
  sockaddr_storage out{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(out);
  v4.sin_family = AF_INET;
  v4.sin_port = v6.sin6_port;
  std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
  return out;
}

// Whom limits are for: one machine has one address of IPv4, and may choose from 2^64 of IPv6.
std::string limits_address(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text.data(), text.size());
    return text.data();
  }
  auto prefix = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  std::memset(prefix.s6_addr + 8, 0, 8);
  ::inet_ntop(AF_INET6, &prefix, text.data(), text.size());
  return text.data() + std::string("/64");
}

std::string text_of(const sockaddr* address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(address, size, host.data(), host.size(), port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "?";
  const std::string name(host.data());
  return (name.find(':') != std::string::npos ? "[" + name + "]" : name) + ":" + port.data();
}

result<std::vector<socket_address>> look_up(const host_port& where, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const auto code = ::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
  if (code != 0)
    return fail(errc::unreachable, "looking up the host " + where.host + ": " + ::gai_strerror(code));
  std::vector<socket_address> out;
  for (auto* i = found; i != nullptr; i = i->ai_next) {
    if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
      continue;
    const auto* first = reinterpret_cast<const std::byte*>(i->ai_addr);
    out.push_back({{first, first + i->ai_addrlen}, text_of(i->ai_addr, i->ai_addrlen), is_loopback(i->ai_addr)});
  }
  ::freeaddrinfo(found);
  return out;
}

// -- what a stream does with its socket ------------------------------------------------------------------------------------

// The state that policy, stream and scribe of one connection share.
struct plain_link {
  connection_report_ptr report;
  std::function<void()> on_established;
  bool told = false;

  void established() {
    report->established = true;
    if (!std::exchange(told, true) && on_established)
      on_established();
  }
  std::size_t pending() const noexcept { return 0; }
};

class plain_policy {
 public:
  explicit plain_policy(std::shared_ptr<plain_link> link) : link_(std::move(link)) {}

  net::rw_state read_some(std::size_t& moved, int descriptor, void* to, std::size_t size) {
    return judge(moved, ::recv(descriptor, to, size, MSG_NOSIGNAL), size);
  }
  net::rw_state write_some(std::size_t& moved, int descriptor, const void* from, std::size_t size) {
    if (size == 0)
      return finish_connecting(descriptor);
    return judge(moved, ::send(descriptor, from, size, MSG_NOSIGNAL), 1);
  }
  bool must_read_more(int, std::size_t) const noexcept { return false; }

 private:
  net::rw_state judge(std::size_t& moved, ssize_t returned, std::size_t asked) {
    moved = 0;
    if (returned > 0) {
      moved = static_cast<std::size_t>(returned);
      return net::rw_state::success;
    }
    if (returned < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return net::rw_state::success;
    if (returned == 0 && asked == 0)
      return net::rw_state::success;
    link_->report->failure = returned == 0 ? "the connection was closed" : std::strerror(errno);
    return net::rw_state::failure;
  }

  // The first event for writing: the connection stands, or failed.
  net::rw_state finish_connecting(int descriptor) {
    int number = 0;
    socklen_t size = sizeof number;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
      number = errno;
    if (number != 0) {
      link_->report->failure = std::strerror(number);
      return net::rw_state::failure;
    }
    link_->established();
    return net::rw_state::indeterminate;
  }

  std::shared_ptr<plain_link> link_;
};

struct tls_link : plain_link {
  std::unique_ptr<tls_session> session;

  std::size_t pending() const noexcept { return session->pending(); }
};

class tls_policy {
 public:
  explicit tls_policy(std::shared_ptr<tls_link> link) : link_(std::move(link)) {}

  net::rw_state read_some(std::size_t& moved, int, void* to, std::size_t size) {
    moved = 0;
    if (!link_->session->established())
      if (auto state = shake_hands(); state != net::rw_state::success || !link_->session->established())
        return state;
    return judge(link_->session->read(to, size, moved));
  }
  net::rw_state write_some(std::size_t& moved, int, const void* from, std::size_t size) {
    moved = 0;
    if (!link_->session->established())
      if (auto state = shake_hands(); state != net::rw_state::success || !link_->session->established())
        return state == net::rw_state::success && size == 0 ? net::rw_state::indeterminate : state;
    if (size == 0)
      return net::rw_state::indeterminate;
    return judge(link_->session->write(from, size, moved));
  }
  bool must_read_more(int, std::size_t threshold) const noexcept { return link_->pending() >= threshold; }

 private:
  net::rw_state shake_hands() {
    const auto state = judge(link_->session->handshake());
    if (link_->session->established()) {
      link_->report->peer_name = link_->session->peer_name();
      link_->report->peer_fingerprint = link_->session->peer_fingerprint();
      link_->established();
    }
    return state;
  }
  net::rw_state judge(tls_session::outcome what) {
    if (what != tls_session::outcome::over)
      return net::rw_state::success;
    link_->report->failure = link_->session->failure();
    return net::rw_state::failure;
  }

  std::shared_ptr<tls_link> link_;
};

// -- scribe and doorman ----------------------------------------------------------------------------------------------------

template <class Policy, class Link>
class pad_scribe final : public caf::io::scribe {
 public:
  pad_scribe(net::default_multiplexer& backend, int descriptor, std::shared_ptr<Link> link)
      : scribe(net::conn_hdl_from_socket(descriptor)), link_(std::move(link)), stream_(backend, descriptor, link_) {
    link_->on_established = [this] {
      if (auto* broker = parent())
        broker->enqueue(nullptr, caf::make_message_id(), caf::make_message(caf::ok_atom_v), nullptr);
    };
  }
  ~pad_scribe() override { link_->on_established = nullptr; }

  void configure_read(caf::io::receive_policy::config config) override {
    stream_.configure_read(config);
    if (!std::exchange(launched_, true)) {
      stream_.start(this);
      // The first event for writing finishes connecting, or begins the handshake.
      stream_.force_empty_write(this);
    }
  }
  void ack_writes(bool enable) override { stream_.ack_writes(enable); }
  std::vector<char>& wr_buf() override { return stream_.wr_buf(); }
  std::vector<char>& rd_buf() override { return stream_.rd_buf(); }
  void flush() override { stream_.flush(this); }
  void graceful_shutdown() override {
    const caf::intrusive_ptr<pad_scribe> until_done(this);
    if (link_->report->abort)
      ::shutdown(stream_.fd(), SHUT_RDWR);
    stream_.graceful_shutdown();
    detach(&stream_.backend(), false);
  }
  std::string addr() const override { return link_->report->peer; }
  std::uint16_t port() const override {
    auto found = net::remote_port_of_fd(stream_.fd());
    return found ? *found : std::uint16_t{0};
  }
  void add_to_loop() override {
    stream_.read_again(this);
    // What TLS took off the socket already makes no event any more.
    if (link_->pending() > 0)
      stream_.backend().post([self = caf::intrusive_ptr<pad_scribe>(this)] { self->stream_.read_pending(); });
  }
  void remove_from_loop() override { stream_.stop_reading(); }

 private:
  class stream final : public net::stream_impl<Policy> {
   public:
    using net::stream_impl<Policy>::stream_impl;

    // Also right while the removal of an earlier halt is still to be carried out.
    void read_again(net::stream_manager* manager) {
      this->start(manager);
      net::event_handler::activate();
      reading_ = true;
    }
    // If it was not in the loop yet, joining and leaving cancel each other out, and nobody says that it has left.
    void stop_reading() {
      this->passivate();
      if ((this->eventbf() & net::input_mask) == 0)
        removed_from_loop(net::operation::read);
    }
    void read_pending() {
      if (reading_)
        this->handle_event(net::operation::read);
    }
    void removed_from_loop(net::operation what) override {
      if (what == net::operation::read)
        reading_ = false;
      net::stream_impl<Policy>::removed_from_loop(what);
    }

   private:
    bool reading_ = false;
  };

  std::shared_ptr<Link> link_;
  stream stream_;
  bool launched_ = false;
};

net::default_multiplexer& backend_of(caf::actor_system& system) {
  return static_cast<net::default_multiplexer&>(system.middleman().backend());
}

// Takes over the socket.
result<caf::io::scribe_ptr> make_scribe(net::default_multiplexer& backend, unique_fd socket, const tls_context_ptr& tls,
                                        const std::string& host, const connection_report_ptr& report) {
  watch_for_dead_peers(socket.get());
  if (!tls) {
    auto link = std::make_shared<plain_link>();
    link->report = report;
    return caf::io::scribe_ptr(caf::make_counted<pad_scribe<plain_policy, plain_link>>(backend, socket.release(), link));
  }
  auto session = tls_session::make(tls, socket.get(), host);
  if (!session)
    return fail(session.error());
  auto link = std::make_shared<tls_link>();
  link->report = report;
  link->session = std::move(*session);
  return caf::io::scribe_ptr(caf::make_counted<pad_scribe<tls_policy, tls_link>>(backend, socket.release(), link));
}

// Takes in whoever waits, as far as it goes. CAF's own would ask again at once when there are no descriptors, for ever.
class accept_policy {
 public:
  explicit accept_policy(std::shared_ptr<doorway> to) : to_(std::move(to)) {}

  bool try_accept(net::native_socket& result, net::native_socket listening) {
    for (int i = 0; i < max_accepts; ++i) {
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      unique_fd socket(::accept4(listening, reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (socket) {
        address = unmapped(address);
        to_->accepted.push_back({std::move(socket), text_of(reinterpret_cast<const sockaddr*>(&address), sizeof address),
                                 limits_address(address)});
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        to_->failure = errno;
        break;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        break;
      }   // otherwise that one has gone again
    }
    result = listening;
    return !to_->accepted.empty() || to_->failure != 0;
  }

 private:
  std::shared_ptr<doorway> to_;
};

class pad_doorman final : public caf::io::doorman {
 public:
  pad_doorman(net::default_multiplexer& backend, unique_fd socket, const std::shared_ptr<doorway>& to)
      : doorman(net::accept_hdl_from_socket(socket.get())), to_(to), acceptor_(backend, socket.release(), to) {}

  bool new_connection() override {
    // The broker may have closed it while its event was on the way.
    if (detached()) {
      to_->accepted.clear();
      return false;
    }
    return doorman::new_connection(&acceptor_.backend(), caf::io::connection_handle{});
  }
  void graceful_shutdown() override {
    const caf::intrusive_ptr<pad_doorman> until_done(this);
    acceptor_.graceful_shutdown();
    detach(&acceptor_.backend(), false);
  }
  void launch() override { acceptor_.start(this); }
  std::string addr() const override {
    auto found = net::local_addr_of_fd(acceptor_.fd());
    return found ? std::move(*found) : std::string();
  }
  std::uint16_t port() const override {
    auto found = net::local_port_of_fd(acceptor_.fd());
    return found ? *found : std::uint16_t{0};
  }
  void add_to_loop() override { acceptor_.activate(this); }
  // As with a scribe: what leaves in the turn in which it joined is not told that it has left, and would hold itself for ever.
  void remove_from_loop() override {
    acceptor_.passivate();
    if (acceptor_.eventbf() == 0)
      acceptor_.removed_from_loop(net::operation::read);
  }

 private:
  std::shared_ptr<doorway> to_;
  net::acceptor_impl<accept_policy> acceptor_;
};

constexpr std::string_view every_address = "*";

auto listening_failed(const std::string& where, int number) {
  auto e = errno_error(number, "listening on " + where);
  if (number == EADDRNOTAVAIL)
    e.code = errc::invalid_argument;
  return fail(std::move(e));
}

result<listening_socket> listen_at(const socket_address& address, const std::string& name, bool both_families) {
  unique_fd socket(::socket(as_sockaddr(address)->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket)
    return listening_failed(name, errno);
  set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (both_families)
    set_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (::bind(socket.get(), as_sockaddr(address), static_cast<socklen_t>(address.raw.size())) != 0
      || ::listen(socket.get(), backlog) != 0)
    return listening_failed(name, errno);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return listening_failed(name, errno);
  const auto port = bound.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(bound).sin_port
                                               : reinterpret_cast<const sockaddr_in6&>(bound).sin6_port;
  return listening_socket{std::move(socket), {}, ntohs(port), address.loopback};
}

// One socket of IPv6 takes both families; a machine may have IPv4 alone.
result<listening_socket> listen_everywhere(std::uint16_t port) {
  const auto has_v6 = static_cast<bool>(unique_fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  const auto found = resolve_numeric({has_v6 ? "::" : "0.0.0.0", port});
  if (found.empty())
    return listening_failed(std::string(every_address), EADDRNOTAVAIL);
  auto made = listen_at(found.front(), std::string(every_address) + ":" + std::to_string(port), has_v6);
  if (made)
    made->host = every_address;
  return made;
}

result<socket_address> first_address(const host_port& where) {
  auto found = resolve(where);
  if (!found)
    return fail(found.error());
  if (found->empty())
    return fail(errc::unreachable, "the host " + where.host + " has no address");
  return found->front();
}

}  // namespace

result<std::vector<socket_address>> resolve(const host_port& where) {
  return look_up(where, 0);
}

std::vector<socket_address> resolve_numeric(const host_port& where) {
  auto found = look_up(where, AI_NUMERICHOST);
  return found ? std::move(*found) : std::vector<socket_address>();
}

result<listening_socket> listen_on(const host_port& where) {
  if (where.host == every_address)
    return listen_everywhere(where.port);
  const auto address = first_address(where);
  if (!address)
    return fail(address.error());
  auto made = listen_at(*address, address->text, false);
  if (made)
    made->host = address->text.substr(0, address->text.rfind(':'));
  return made;
}

result<bool> is_loopback_only(const host_port& where) {
  if (where.host == every_address)
    return false;
  const auto address = first_address(where);
  if (!address)
    return fail(address.error());
  return address->loopback;
}

result<caf::io::scribe_ptr> start_connecting(caf::actor_system& system, const socket_address& address,
                                             const tls_context_ptr& tls, const std::string& host,
                                             const connection_report_ptr& report) {
  report->peer = address.text;
  unique_fd socket(::socket(as_sockaddr(address)->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket)
    return fail(errno_error(errno, "making a socket"));
  if (::connect(socket.get(), as_sockaddr(address), static_cast<socklen_t>(address.raw.size())) != 0 && errno != EINPROGRESS)
    return fail(errc::unreachable, std::strerror(errno));
  return make_scribe(backend_of(system), std::move(socket), tls, host, report);
}

caf::io::doorman_ptr make_doorman(caf::actor_system& system, unique_fd socket, std::shared_ptr<doorway> to) {
  return caf::make_counted<pad_doorman>(backend_of(system), std::move(socket), to);
}

result<caf::io::scribe_ptr> make_node_scribe(caf::actor_system& system, accepted_connection connection,
                                             const tls_context_ptr& tls, const connection_report_ptr& report) {
  report->peer = std::move(connection.peer);
  return make_scribe(backend_of(system), std::move(connection.socket), tls, {}, report);
}

}  // namespace mutant
