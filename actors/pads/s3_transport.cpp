#include "actors/pads/s3_transport.hpp"

#include "actors/caf/spawn.hpp"
#include "core/s3/probe.hpp"

namespace mutant {

namespace {

constexpr std::size_t max_connections = 48;
constexpr auto max_wait = std::chrono::milliseconds(1000);
constexpr auto renew_before = std::chrono::minutes(5);
constexpr auto renew_pause = std::chrono::seconds(30);     // after a failure, while the old ones still hold

using s3_transport_actor = caf::typed_actor<caf::reacts_to<s3_errand>>;

}  // namespace

struct s3_transport_state {
  static inline const char* name = "s3_transport";
  using self_pointer = s3_transport_actor::stateful_pointer<s3_transport_state>;

  void send(s3::request asked, s3_link::callback then);
  void work();
  void renew();
  void renewed(const result<s3::credentials_ptr>& fresh);
  bool expired() const;

  self_pointer self = nullptr;
  s3_transport_options options;
  bool working = false;                    // a message to go on is under way
  bool renewing = false;
  bool refused = false;                    // the server no longer takes the credentials that there are
  std::chrono::system_clock::time_point next_renewal{};
  std::vector<std::pair<s3::request, s3_link::callback>> waiting;   // for credentials
};

namespace {

s3_transport_actor::behavior_type s3_transport(s3_transport_state::self_pointer self, s3_transport_options options) {
  self->state.self = self;
  self->state.options = std::move(options);
  return {[self](s3_errand& errand) { errand.run(self->state); }};
}

// Fetches new credentials for the transport, and ends.
struct s3_credentials_state {
  static inline const char* name = "s3_credentials";
};

caf::behavior s3_credentials(caf::stateful_actor<s3_credentials_state>* self, const s3_transport_actor& whom,
                             const std::string& profile, const s3::environment& env) {
  auto fresh = s3::load_credentials(profile, env);
  self->send(whom, s3_errand{[fresh](s3_transport_state& s) { s.renewed(fresh); }});
  self->quit();
  return {};
}

}  // namespace

bool s3_transport_state::expired() const {
  const auto& expires = options.bucket->who().expires;
  return refused || (expires && *expires <= std::chrono::system_clock::now());
}

void s3_transport_state::send(s3::request asked, s3_link::callback then) {
  const auto now = std::chrono::system_clock::now();
  const auto& expires = options.bucket->who().expires;
  if ((refused || (expires && *expires - renew_before <= now)) && now >= next_renewal)
    renew();
  if (renewing && expired()) {
    waiting.emplace_back(std::move(asked), std::move(then));
    return;
  }
  options.bucket->start(std::move(asked), std::move(then));
  if (!working) {
    working = true;
    self->send(self, s3_errand{[](s3_transport_state& s) { s.work(); }});
  }
}

void s3_transport_state::work() {
  if (options.bucket->run(max_wait))
    self->send(self, s3_errand{[](s3_transport_state& s) { s.work(); }});
  else
    working = false;
}

// In a thread of its own: a credential_process may take seconds.
void s3_transport_state::renew() {
  if (renewing)
    return;
  renewing = true;
  start<caf::detached>(self->system(), s3_credentials, s3_transport_actor(self), options.profile, options.env);
}

void s3_transport_state::renewed(const result<s3::credentials_ptr>& fresh) {
  renewing = false;
  next_renewal = std::chrono::system_clock::now() + renew_pause;
  if (fresh) {
    options.bucket->use(*fresh);
    refused = false;
  }
  for (auto& [asked, then] : std::exchange(waiting, {})) {
    if (fresh) {
      send(std::move(asked), std::move(then));
    } else {
      s3::http_answer none;
      none.failure = {errc::unreachable, "the credentials have expired, and there are no new ones: " + fresh.error().message};
      then(std::move(none));
    }
  }
}

namespace {

class transport_link final : public s3_link {
 public:
  transport_link(caf::actor_system& system, s3_transport_options options)
      : bucket_(options.bucket), actor_(start<caf::detached>(system, s3_transport, std::move(options))) {}
  ~transport_link() override { close(); }

  void send(s3::request asked, callback then) override {
    tell([asked = std::move(asked), then = std::move(then)](s3_transport_state& s) { s.send(asked, then); });
  }
  void learn(const s3::judgement& said, const s3::http_answer& answer) override {
    tell([said, answer](s3_transport_state& s) { s.options.bucket->learn(said, answer); });
  }
  void renew_credentials() override {
    tell([](s3_transport_state& s) {
      // Many requests may meet it at once; one renewal serves them all.
      if (std::chrono::system_clock::now() < s.next_renewal)
        return;
      s.refused = true;
      s.renew();
    });
  }
  void close() noexcept override {
    if (auto ends = std::exchange(actor_, nullptr)) {
      caf::anon_send_exit(ends, caf::exit_reason::user_shutdown);
      bucket_->wakeup();
    }
  }

 private:
  template <class F>
  void tell(F what) {
    if (!actor_)
      return;
    caf::anon_send(actor_, s3_errand{std::move(what)});
    bucket_->wakeup();
  }

  std::shared_ptr<s3::caller> bucket_;
  s3_transport_actor actor_;
};

}  // namespace

std::shared_ptr<s3_link> spawn_s3_transport(caf::actor_system& system, s3_transport_options options) {
  return std::make_shared<transport_link>(system, std::move(options));
}

result<s3_bucket> find_bucket(const store_url& url, const std::string& memory_file, bool anew) {
  auto where = s3::locate(url, s3::process_environment);
  if (!where)
    return fail(where.error());
  const auto profile_at = url.options.find("profile");
  s3_bucket out;
  out.profile = profile_at == url.options.end() ? std::string() : profile_at->second;
  auto who = s3::load_credentials(out.profile, s3::process_environment);
  if (!who)
    return fail(who.error());
  const auto known = anew || memory_file.empty() ? std::nullopt : s3::recall_probe(memory_file);
  if (known && !where->region_given && !known->region.empty())
    where->region = known->region;
  out.way = std::make_shared<s3::caller>(*where, *who, max_connections);
  if (known) {
    out.how = *known;
    return out;
  }
  auto found = s3::probe(*out.way);
  if (!found)
    return fail(found.error());
  out.how = std::move(found->how);
  out.no_writing = std::move(found->no_writing);
  out.left_behind = std::move(found->left_behind);
  if (!memory_file.empty() && !out.no_writing)
    s3::remember_probe(memory_file, out.how);
  return out;
}

pad_store_actor spawn_s3_store(caf::actor_system& system, s3_bucket bucket) {
  s3_store_options options;
  options.where = bucket.way->where();
  options.how = bucket.how;
  options.no_writing = std::move(bucket.no_writing);
  options.limits.max_flight = max_connections;
  options.link = spawn_s3_transport(system, {std::move(bucket.way), bucket.profile, s3::process_environment});
  return start(system, s3_store, std::move(options));
}

}  // namespace mutant
