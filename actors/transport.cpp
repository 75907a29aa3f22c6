#include "actors/transport.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/doorman_impl.hpp>
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
constexpr int backlog = 128;

// Owns a descriptor until it is released.
class unique_socket {
 public:
  explicit unique_socket(int descriptor) noexcept : descriptor_(descriptor) {}
  ~unique_socket() {
    if (descriptor_ >= 0)
      ::close(descriptor_);
  }
  unique_socket(const unique_socket&) = delete;
  unique_socket& operator=(const unique_socket&) = delete;
  int get() const noexcept { return descriptor_; }
  int release() noexcept { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

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

std::string text_of(const sockaddr* address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(address, size, host.data(), host.size(), port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "?";
  const std::string name(host.data());
  return (name.find(':') != std::string::npos ? "[" + name + "]" : name) + ":" + port.data();
}

std::string peer_of(int descriptor) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return "?";
  return text_of(reinterpret_cast<const sockaddr*>(&address), size);
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
  void remove_from_loop() override { stream_.passivate(); }

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
result<caf::io::scribe_ptr> make_scribe(net::default_multiplexer& backend, unique_socket socket, const tls_context_ptr& tls,
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

class pad_doorman final : public net::doorman_impl {
 public:
  pad_doorman(net::default_multiplexer& backend, int descriptor, tls_context_ptr tls, std::shared_ptr<report_map> reports)
      : doorman_impl(backend, descriptor), tls_(std::move(tls)), reports_(std::move(reports)) {}

  bool new_connection() override {
    unique_socket accepted(acceptor_.accepted_socket());
    if (detached())
      return false;
    auto report = std::make_shared<connection_report>();
    report->peer = peer_of(accepted.get());
    auto& backend = acceptor_.backend();
    auto made = make_scribe(backend, unique_socket(accepted.release()), tls_, {}, report);
    if (!made)
      return false;
    const auto handle = (*made)->hdl();
    parent()->add_scribe(std::move(*made));
    reports_->emplace(handle, std::move(report));
    const auto more = doorman::new_connection(&backend, handle);
    reports_->erase(handle);
    return more;
  }

 private:
  tls_context_ptr tls_;
  std::shared_ptr<report_map> reports_;
};

}  // namespace

result<std::vector<socket_address>> resolve(const host_port& where) {
  return look_up(where, 0);
}

std::vector<socket_address> resolve_numeric(const host_port& where) {
  auto found = look_up(where, AI_NUMERICHOST);
  return found ? std::move(*found) : std::vector<socket_address>();
}

result<listening_socket> listen_on(const socket_address& address) {
  const auto failed = [&](int number) {
    auto e = errno_error(number, "listening on " + address.text);
    if (number == EADDRNOTAVAIL)
      e.code = errc::invalid_argument;
    return fail(std::move(e));
  };
  unique_socket socket(::socket(as_sockaddr(address)->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0)
    return failed(errno);
  set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (::bind(socket.get(), as_sockaddr(address), static_cast<socklen_t>(address.raw.size())) != 0
      || ::listen(socket.get(), backlog) != 0)
    return failed(errno);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return failed(errno);
  const auto port = bound.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(bound).sin_port
                                               : reinterpret_cast<const sockaddr_in6&>(bound).sin6_port;
  return listening_socket{socket.release(), ntohs(port)};
}

result<caf::io::scribe_ptr> start_connecting(caf::actor_system& system, const socket_address& address,
                                             const tls_context_ptr& tls, const std::string& host,
                                             const connection_report_ptr& report) {
  report->peer = address.text;
  unique_socket socket(::socket(as_sockaddr(address)->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0)
    return fail(errno_error(errno, "making a socket"));
  if (::connect(socket.get(), as_sockaddr(address), static_cast<socklen_t>(address.raw.size())) != 0 && errno != EINPROGRESS)
    return fail(errc::unreachable, std::strerror(errno));
  return make_scribe(backend_of(system), unique_socket(socket.release()), tls, host, report);
}

caf::io::doorman_ptr make_doorman(caf::actor_system& system, int descriptor, tls_context_ptr tls,
                                  std::shared_ptr<report_map> reports) {
  return caf::make_counted<pad_doorman>(backend_of(system), descriptor, std::move(tls), std::move(reports));
}

}  // namespace mutant
