// What the tests over real sockets share: systems with threads, nodes, certificates, raw sockets, logs. Loopback only.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <mutex>
#include <thread>

#include "actors/net/tls_certificates.hpp"
#include "actors/node/node_server.hpp"
#include "actors/pads/local_store.hpp"
#include "actors/pads/memory_store.hpp"
#include "actors/pads/open_store.hpp"
#include "actors/store.hpp"
#include "core/wire.hpp"
#include "tests/core/test_engine_support.hpp"

namespace mutant::testing {

using engine_test::temporary_directory;

constexpr auto patience = std::chrono::seconds(60);

// Waits for something that another thread brings about.
template <class Condition>
bool eventually(Condition holds, std::chrono::milliseconds most = patience) {
  const auto end = std::chrono::steady_clock::now() + most;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

class log_book {
 public:
  log_sink sink() {
    return [book = book_](log_level, const std::string& what, const log_fields& fields) {
      auto line = what;
      for (const auto& [name, value] : fields)
        line += " " + name + "=" + value;
      std::lock_guard lock(book->mutex);
      book->lines.push_back(std::move(line));
    };
  }
  // A line that holds all of these.
  bool has(const std::vector<std::string>& words) const {
    std::lock_guard lock(book_->mutex);
    return std::ranges::any_of(book_->lines, [&](const std::string& line) {
      return std::ranges::all_of(words, [&](const std::string& word) { return line.find(word) != std::string::npos; });
    });
  }
  // Lines that begin so.
  std::size_t count(const std::string& what) const {
    std::lock_guard lock(book_->mutex);
    return static_cast<std::size_t>(std::ranges::count_if(book_->lines, [&](const auto& l) { return l.starts_with(what); }));
  }
  std::string text() const {
    std::lock_guard lock(book_->mutex);
    std::string out;
    for (const auto& line : book_->lines)
      out += line + "\n";
    return out;
  }

 private:
  struct book {
    std::mutex mutex;
    std::vector<std::string> lines;
  };
  std::shared_ptr<book> book_ = std::make_shared<book>();
};

// An actor system with threads and the middleman.
class networked_system {
 public:
  networked_system() : config_("caf:"), system_(config_) { BOOST_REQUIRE(init_crypto().has_value()); }
  ~networked_system() {
    for (auto& child : children_)
      caf::anon_send_exit(child, caf::exit_reason::user_shutdown);
  }
  caf::actor_system& system() noexcept { return system_; }

  template <class Handle>
  Handle keep(Handle child) {
    children_.push_back(caf::actor_cast<caf::actor>(child));
    return child;
  }
  void end(const caf::actor& child) {
    caf::scoped_actor self{system_};
    self->send_exit(child, caf::exit_reason::user_shutdown);
    self->wait_for(child);
  }

  template <class Out, class Handle, class... Args>
  result<Out> call(const Handle& whom, Args... args) {
    caf::scoped_actor self{system_};
    std::optional<result<Out>> out;
    self->request(whom, patience * 4, std::move(args)...)
        .receive([&](Out& x) { out.emplace(std::move(x)); }, [&](caf::error& e) { out.emplace(fail(from_caf(e))); });
    return std::move(*out);
  }
  result<done> put(const pad_store_actor& store, bytes record) { return call<done>(store, put_atom_v, std::move(record)); }
  result<done> erase(const pad_store_actor& store, bytes blank) { return call<done>(store, erase_atom_v, std::move(blank)); }
  result<bytes> get(const pad_store_actor& store, const pad_address& a) { return call<bytes>(store, get_atom_v, pad_query{a}); }
  result<bytes> head(const pad_store_actor& store, const pad_address& a) {
    return call<bytes>(store, head_atom_v, pad_query{a});
  }
  result<pad_store_stats> stats(const pad_store_actor& store) { return call<pad_store_stats>(store, stats_atom_v); }

  pad_store_actor memory(std::shared_ptr<pad_engine> engine = make_memory_engine(std::uint64_t{1} << 32)) {
    pad_store_actor store = system_.spawn(memory_store, std::move(engine));
    return keep(store);
  }
  pad_store_actor local(std::shared_ptr<pad_engine> engine) {
    local_store_options o;
    o.engine = std::move(engine);
    pad_store_actor store = system_.spawn(local_store, std::move(o));
    return keep(store);
  }
  pad_store_actor remote(remote_store_options o) {
    pad_store_actor store = system_.spawn(remote_store, std::move(o));
    return keep(store);
  }
  pad_store_actor remote(const std::vector<std::uint16_t>& ports, const tls_context_ptr& tls = nullptr) {
    return remote(quick(ports, tls));
  }
  // Options with times for tests.
  static remote_store_options quick(const std::vector<std::uint16_t>& ports, const tls_context_ptr& tls = nullptr) {
    remote_store_options o;
    for (auto port : ports)
      o.hosts.push_back({"127.0.0.1", port});
    o.tls = tls;
    o.unreachable_after = std::chrono::seconds(20);
    o.first_pause = std::chrono::milliseconds(20);
    o.max_pause = std::chrono::milliseconds(200);
    return o;
  }

 private:
  system_config config_;
  caf::actor_system system_;
  std::vector<caf::actor> children_;
};

inline node_server_options node_options_for(pad_store_actor store) {
  node_server_options o;
  o.listen = {"127.0.0.1", 0};
  o.node.store = std::move(store);
  return o;
}

inline node_server start_node(networked_system& in, node_server_options o) {
  auto server = node_server::start(in.system(), std::move(o));
  BOOST_REQUIRE_MESSAGE(server, (server ? std::string() : to_string(server.error())));
  in.keep(server->node());
  return *server;
}

// Records that pass a node's checks.
struct owner_keys {
  owner_keys() {
    seed s;
    s.value.fill(std::byte{5});
    ring = std::make_shared<const keyring>(s);
  }
  // The same arguments, the same record.
  bytes record(std::uint64_t pad, std::uint64_t counter, std::size_t record_size, unsigned content = 0) {
    std::lock_guard lock(sealing);
    auto& made = sealed[{pad, counter, record_size, content}];
    if (made.empty()) {
      std::vector<std::byte> plain(record_size - record_header_bytes - private_overhead_bytes,
                                   static_cast<std::byte>(content + counter));
      made = seal_private(ring->data(pad), counter, plain);
    }
    return made;
  }
  bytes blank(std::uint64_t pad, std::uint64_t counter) const { return seal_blank(ring->data(pad), counter); }
  pad_address address(std::uint64_t pad) const { return ring->data(pad).address; }

  std::shared_ptr<const keyring> ring;
  std::mutex sealing;
  std::map<std::tuple<std::uint64_t, std::uint64_t, std::size_t, unsigned>, bytes> sealed;
};

inline bytes with_flipped_bit(const bytes& record, std::size_t at) {
  auto raw = buffer::for_record(record.size());
  std::copy(record.data(), record.data() + record.size(), raw.data());
  raw.data()[at] ^= std::byte{1};
  return std::move(raw).freeze();
}

// -- sockets without CAF -----------------------------------------------------------------------------------------------------

class raw_socket {
 public:
  explicit raw_socket(int descriptor) : descriptor_(descriptor) {}
  raw_socket(raw_socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  raw_socket& operator=(raw_socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~raw_socket() { close(); }

  // From 127.0.0.`from`: as another client.
  static raw_socket connect(std::uint16_t port, unsigned from = 1) {
    raw_socket s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto own = loopback(0);
    own.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xFFu) | from);
    BOOST_REQUIRE_EQUAL(::bind(s.descriptor_, reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
    auto address = loopback(port);
    BOOST_REQUIRE_EQUAL(::connect(s.descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return s;
  }
  static raw_socket listen(std::uint16_t& port) {
    raw_socket s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto address = loopback(port);
    const int on = 1;
    ::setsockopt(s.descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    BOOST_REQUIRE_EQUAL(::bind(s.descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    BOOST_REQUIRE_EQUAL(::listen(s.descriptor_, 16), 0);
    socklen_t size = sizeof address;
    ::getsockname(s.descriptor_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    return s;
  }
  // Nobody within the time: an invalid socket.
  raw_socket accept(std::chrono::milliseconds most) {
    return raw_socket(readable(most) ? ::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC) : -1);
  }

  bool valid() const noexcept { return descriptor_ >= 0; }
  int descriptor() const noexcept { return descriptor_; }
  void close() {
    if (descriptor_ >= 0)
      ::close(std::exchange(descriptor_, -1));
  }
  // From any thread: whoever sends or receives comes back.
  void shut_down() { ::shutdown(descriptor_, SHUT_RDWR); }
  // False: the other side has gone.
  bool send(byte_view what) {
    while (!what.empty()) {
      const auto n = ::send(descriptor_, what.data(), what.size(), MSG_NOSIGNAL);
      if (n <= 0)
        return false;
      what = what.subspan(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool readable(std::chrono::milliseconds most) {
    pollfd p{descriptor_, POLLIN, 0};
    return ::poll(&p, 1, static_cast<int>(most.count())) == 1;
  }
  // The next frame; nothing when the other side closes, breaks the protocol or keeps silent.
  std::optional<wire::frame> receive(wire::reader& in, std::chrono::milliseconds most = patience) {
    const auto end = std::chrono::steady_clock::now() + most;
    while (true) {
      byte_view rest(pending_);
      auto frame = in.next(rest);
      pending_.erase(pending_.begin(), pending_.end() - static_cast<std::ptrdiff_t>(rest.size()));
      if (!frame)
        return std::nullopt;
      if (*frame)
        return std::move(*frame);
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      std::array<std::byte, 65536> some;
      if (left.count() <= 0 || !readable(left))
        return std::nullopt;
      const auto n = ::recv(descriptor_, some.data(), some.size(), 0);
      if (n <= 0)
        return std::nullopt;
      pending_.assign(some.begin(), some.begin() + n);
    }
  }
  // True when the other side has closed; what it sends until then is thrown away.
  bool closed(std::chrono::milliseconds most = patience) {
    const auto end = std::chrono::steady_clock::now() + most;
    std::array<std::byte, 65536> some;
    while (std::chrono::steady_clock::now() < end)
      if (readable(std::chrono::milliseconds(50)) && ::recv(descriptor_, some.data(), some.size(), 0) <= 0)
        return true;
    return false;
  }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
  }

  int descriptor_;
  std::vector<std::byte> pending_;
};

// A client that speaks the protocol by hand.
struct raw_client {
  explicit raw_client(std::uint16_t port, unsigned from = 1) : socket(raw_socket::connect(port, from)) {}

  bool greet() {
    auto greeting = socket.receive(in);
    if (!greeting || greeting->head.kind != wire::frame_kind::server_greeting)
      return false;
    actor = wire::parse_server_greeting(greeting->payload)->actor;
    return socket.send(wire::greeting_of_client(wire::random_peer_id()));
  }
  bool put(std::uint64_t number, const bytes& record) {
    return socket.send(wire::request_with_record(wire::content::put, number, 1, actor, record.size())) && socket.send(record);
  }
  bool get(std::uint64_t number, const pad_address& address) {
    return socket.send(wire::request_for_pad(wire::content::get, number, 1, actor, address));
  }

  raw_socket socket;
  wire::reader in{wire::side::client};
  std::uint64_t actor = 0;
};

// -- certificates ------------------------------------------------------------------------------------------------------------

// An authority with a node's and a client's certificate in a directory of its own.
struct certificates {
  explicit certificates(int days = 10, std::vector<std::string> names = {"localhost", "127.0.0.1"}) {
    certificate_request request;
    request.directory = folder.path().string();
    request.names = std::move(names);
    request.days = days;
    auto made = make_certificates(request);
    BOOST_REQUIRE_MESSAGE(made, (made ? std::string() : to_string(made.error())));
  }
  tls_files files(const std::string& who) const {
    return {folder.file((who + ".pem").c_str()), folder.file((who + "-key.pem").c_str()), folder.file("ca.pem")};
  }
  tls_context_ptr client() const {
    auto context = tls_context::load(files("client"), tls_role::client);
    BOOST_REQUIRE_MESSAGE(context, (context ? std::string() : to_string(context.error())));
    return *context;
  }

  temporary_directory folder;
};

}  // namespace mutant::testing
