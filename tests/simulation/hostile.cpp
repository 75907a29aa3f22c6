#include "tests/simulation/hostile.hpp"

#include <stdlib.h>

#include <filesystem>
#include <set>

#include "actors/pads/memory_store.hpp"
#include "actors/store.hpp"
#include "actors/workers/crypto_worker.hpp"
#include "core/index/ring.hpp"
#include "testing/hostile_store.hpp"
#include "tests/actors/deterministic.hpp"
#include "tests/simulation/settings.hpp"
#include "tests/temporary_directory.hpp"

namespace mutant::simulation {

namespace {

constexpr std::size_t max_steps = 400'000;              // of one request
constexpr auto max_patience = std::chrono::hours(3);

hostile_options draw_lies(dice& d) {
  hostile_options out;
  const auto worst = d.any_of({0.02, 0.1, 0.3});
  for (auto* lie : {&out.refuse_write, &out.deny_write, &out.show_another, &out.alter_header, &out.forge_counter, &out.hide,
                    &out.refuse_read})
    if (d.chance(0.5))
      *lie = worst * static_cast<double>(1 + d.below(1000)) / 1000;
  out.any_code = d.chance(0.7);
  return out;
}

std::string to_string(const hostile_options& lies) {
  auto part = [](const char* name, double p) { return p > 0 ? " " + std::string(name) + " " + std::to_string(p) : ""; };
  return part("refuse_write", lies.refuse_write) + part("deny_write", lies.deny_write)
         + part("show_another", lies.show_another) + part("alter_header", lies.alter_header)
         + part("forge_counter", lies.forge_counter) + part("hide", lies.hide) + part("refuse_read", lies.refuse_read)
         + (lies.any_code ? " any_code" : "");
}

bool is_integrity(errc code) {
  return code == errc::index_corrupt || code == errc::rollback_detected || code == errc::decrypt_failed
         || code == errc::corrupt_record || code == errc::bad_signature;
}

class hostile_world {
 public:
  explicit hostile_world(std::uint64_t seed)
      : dice_(seed * 0x9e3779b97f4a7c15 + 77), system_(seed, testing::deterministic_system::order::seeded) {
    for (std::size_t i = 0; i < owner_.value.size(); ++i)
      owner_.value[i] = static_cast<std::byte>(seed >> (i % 8 * 8));
    keys_ = std::make_shared<const keyring>(owner_);
    engine_ = std::shared_ptr<pad_engine>(make_memory_engine(std::uint64_t{1} << 40));
    lies_ = draw_lies(dice_);
    hostile_store_options o;
    o.store = system_.system().spawn(memory_store, engine_);
    o.seed = dice_.number();
    enemy_ = system_.system().spawn(hostile_store, o);
  }
  ~hostile_world() { end_store(); }

  hostile_report run() {
    const auto lives = dice_.between(1, 4);
    for (std::uint64_t life = 0; life < lives && !out_.violation; ++life) {
      caf::anon_send(enemy_, life == 0 && dice_.chance(0.5) ? hostile_options() : lies_);
      begin_store();
      for (auto left = dice_.between(5, 25); left > 0 && !out_.violation; --left)
        one_request();
      end_store();
    }
    if (!out_.violation)
      aftermath();
    if (out_.violation)
      *out_.violation += "; lies:" + to_string(lies_);
    return std::move(out_);
  }

 private:
  struct written {
    std::uint64_t version = 0;
    std::string content;
  };

  void violate(const std::string& what) {
    if (!out_.violation)
      out_.violation = what;
  }

  void begin_store(bool accept_rollback = false) {
    store_config c;
    c.accept_rollback = accept_rollback;
    c.owner = owner_;
    c.pads = caf::actor_cast<pad_store_actor>(enemy_);
    c.crypto_workers = 1;
    c.pad_workers = 2;
    c.chunk_bytes = 32;
    c.inline_bytes = 8;
    c.detached = false;
    c.cache_directory = folder_;
    c.worker.timeout = std::chrono::milliseconds(300);
    c.worker.first_pause = std::chrono::milliseconds(5);
    c.worker.max_pause = std::chrono::milliseconds(100);
    c.worker.seed = dice_.number();
    c.index.ring_slots = 8;
    c.index.snapshot_log_bytes = 1500;
    c.index.max_part_bytes = 400;
    c.index.min_compaction_bytes = 500;
    c.index.max_delta_parts = 4;
    c.index.min_cache_commits = 4;
    auto made = spawn_store(system_.system(), c);
    if (made)
      store_ = *made;
    else
      violate("a store could not be spawned: " + mutant::to_string(made.error()));
  }
  void end_store() {
    if (!store_)
      return;
    ask<done>("flush", flush_atom_v);
    caf::anon_send_exit(store_, caf::exit_reason::user_shutdown);
    store_ = nullptr;
    system_.run_messages();
  }

  // Asks the store, and runs until it is answered.
  template <class Out, class... Args>
  result<Out> ask(const std::string& what, Args... args) {
    auto answer = std::make_shared<std::optional<result<Out>>>();
    system_.system().spawn([=, store = store_](caf::event_based_actor* self) {
      self->request(store, caf::infinite, args...)
          .then([=](Out& x) { answer->emplace(std::move(x)); }, [=](caf::error& e) { answer->emplace(fail(from_caf(e))); });
    });
    system_.run_until([&] { return answer->has_value(); }, max_patience, max_steps);
    if (!*answer) {
      violate(what + " was never answered");
      return fail(errc::timeout, "never");
    }
    if (!**answer) {
      ++out_.refused;
      ++out_.errors[std::string(name_of((**answer).error().code))];
    }
    return std::move(**answer);
  }

  void one_request() {
    const auto key = "key/" + std::to_string(dice_.below(4));
    const auto what = dice_.below(100);
    if (what < 45)
      put(key);
    else if (what < 80)
      get(key);
    else if (what < 90)
      sync();
    else if (what < 95)
      ask<store_stats>("stats", stats_atom_v);
    else
      purge();
    system_.run_for(std::chrono::milliseconds(dice_.below(400)));
  }

  void put(const std::string& key) {
    const auto mark = "<" + std::to_string(++contents_) + ">";
    std::string content;
    for (auto size = dice_.any_of<std::size_t>({5, 20, 32, 70, 150}); content.size() < size;)
      content += mark;
    tried_[key].insert(content);
    if (auto stored = ask<put_result>("a put of " + key, put_atom_v,
                                      put_request{key, bytes::copy_of(content), std::nullopt, {}})) {
      ++out_.acknowledged;
      acknowledged_[key] = {stored->version, content};
    }
  }

  void get(const std::string& key) {
    get_request request;
    request.key = key;
    if (dice_.chance(0.3))
      request.offset = dice_.below(20);
    const auto offset = request.offset;
    const auto known = acknowledged_.find(key);
    auto got = ask<get_result>("a get of " + key, get_atom_v, std::move(request));
    if (!got) {
      if (got.error().code == errc::key_not_found && known != acknowledged_.end())
        violate("the acknowledged value of " + key + " is said not to be there");
      return;
    }
    ++out_.read;
    check_value(key, offset, *got);
  }

  void check_value(const std::string& key, std::uint64_t offset, const get_result& got) {
    const auto content = std::string(as_text(got.value));
    const auto known = acknowledged_.find(key);
    if (!std::ranges::any_of(tried_[key],
                             [&](const std::string& c) { return c.size() >= offset && c.substr(offset) == content; }))
      violate("a get of " + key + " shows what was never put: " + content);
    if (known == acknowledged_.end())
      return;
    if (got.version < known->second.version)
      violate(key + " went back from version " + std::to_string(known->second.version) + " to " + std::to_string(got.version));
    if (got.version == known->second.version && known->second.content.substr(offset) != content)
      violate(key + " has another content than was acknowledged, under the same version: " + content);
  }

  void sync() {
    auto report = ask<sync_report>("a sync", sync_atom_v);
    if (!report)
      return;
    if (report->sequence < position_)
      violate("the position went back from " + std::to_string(position_) + " to " + std::to_string(report->sequence));
    position_ = report->sequence;
  }

  void purge() {
    purge_request request;
    request.wipe = dice_.chance(0.3);
    ask<purge_result>("a purge", purge_atom_v, std::move(request));
  }

  // Whether what the store holds is one history: the root, and behind it commit after commit, each naming the one before.
  bool is_one_history() {
    crypto_worker_state opener;
    opener.options.keys = keys_;
    auto record = engine_->get(keys_->root().address);
    auto root_there = record ? opener.open(open_root_job{*record}) : fail(record.error());
    if (!root_there)
      return acknowledged_.empty();
    const auto slots = root_there->what.ring_slots;
    auto last = root_there->what.last_commit;
    auto sequence = root_there->what.sequence;
    for (;; ++sequence) {
      auto next = engine_->get(keys_->log(slot_of(sequence + 1, slots)).address);
      auto opened = next ? opener.open(open_commit_job{*next, sequence + 1, slots}) : fail(next.error());
      if (!opened)
        break;
      if (opened->what->previous != last)
        return false;
      last = opened->hash;
    }
    // The end of the log is the commit of the lap before in the next slot. It may have been shown and never been there: then
    // nobody can tell that this is the end.
    if (const auto next = sequence + 1; next > slots) {
      const auto before = engine_->get(keys_->log(slot_of(next, slots)).address);
      if (!before || !opener.open(open_commit_job{*before, next - slots, slots}))
        return false;
    }
    for (std::uint64_t slot = 0; slot < slots; ++slot)   // nothing beyond the end
      if (auto there = engine_->head(keys_->log(slot).address))
        if ((parse_header(*there)->counter - 1) * slots + slot > sequence)
          return false;
    const auto reached = [&](const auto& known) { return known.second.version <= sequence; };
    return position_ <= sequence && std::ranges::all_of(acknowledged_, reached);
  }

  // What this machine remembers of the store; none if it has seen nothing.
  std::optional<seen_state> remembered() const {
    for (const auto& file : std::filesystem::directory_iterator(folder_))
      if (file.path().extension() == ".seen")
        if (auto seen = read_seen(file.path().string(), keys_->cache_key()); seen && *seen)
          return **seen;
    return std::nullopt;
  }

  // Whether what the store holds is what this machine was shown of it in the end: it may have shown a commit that it kept in
  // place of the one that it had taken, as the last one, and that is a history of its own.
  enum class shown : std::uint8_t { the_same, more_than_is_there, another_history };
  shown what_was_shown() const {
    crypto_worker_state opener;
    opener.options.keys = keys_;
    const auto seen = remembered();
    auto root_there = engine_->get(keys_->root().address);
    auto opened = root_there ? opener.open(open_root_job{*root_there}) : fail(root_there.error());
    if (!seen || !opened)
      return shown::the_same;
    if (const auto there = seen->sequence; there != 0) {
      const auto slots = opened->what.ring_slots;
      auto record = engine_->get(keys_->log(slot_of(there, slots)).address);
      auto commit_there = record ? opener.open(open_commit_job{*record, there, slots}) : fail(record.error());
      if (commit_there && commit_there->hash != seen->last_commit)
        return shown::another_history;
      if (there > opened->what.sequence && (!record || parse_header(*record)->counter < counter_of(there, slots)))
        return shown::more_than_is_there;
    }
    // A root that it had refused, in the same way.
    const auto newer = opened->counter > seen->root_counter;
    const auto same = opened->counter == seen->root_counter && opened->hash == seen->root_hash;
    return newer || same ? shown::the_same : shown::more_than_is_there;
  }

  void aftermath() {
    caf::anon_send(enemy_, hostile_options());
    system_.run_messages();
    const auto seen = what_was_shown();
    out_.torn = !is_one_history() || seen == shown::another_history;
    begin_store();
    auto report = ask<sync_report>("a sync with the honest store", sync_atom_v);
    if (!report && !out_.torn && seen == shown::more_than_is_there && report.error().code == errc::rollback_detected) {
      // The root or the commit that it had shown last is gone, and nothing else: taken as it is, all is there.
      end_store();
      begin_store(true);
      report = ask<sync_report>("a sync that accepts less", sync_atom_v);
    }
    if (!report && !out_.torn)
      return violate("the store is honest and whole, and is refused: " + mutant::to_string(report.error()));
    if (!report && !is_integrity(report.error().code))
      return violate("what is no longer one history is not refused as that: " + mutant::to_string(report.error()));
    for (const auto& [key, known] : acknowledged_) {
      get_request request;
      request.key = key;
      auto got = ask<get_result>("a last get of " + key, get_atom_v, std::move(request));
      if (got)
        check_value(key, 0, *got);
      else if (!out_.torn)
        violate("the store is honest and whole, and " + key + " is not to be had: " + mutant::to_string(got.error()));
      else if (!is_integrity(got.error().code))
        violate(key + " in a torn store: " + mutant::to_string(got.error()));
    }
  }

  dice dice_;
  testing::deterministic_system system_;
  seed owner_;
  std::shared_ptr<const keyring> keys_;
  std::shared_ptr<pad_engine> engine_;
  hostile_options lies_;
  hostile_store_actor enemy_;
  const testing::temporary_directory directory_;
  const std::string folder_ = directory_.path();
  store_actor store_;
  std::map<std::string, std::set<std::string>> tried_;   // by key, all that was ever put
  std::map<std::string, written> acknowledged_;          // by key, the last of these
  std::uint64_t position_ = 0;
  std::uint64_t contents_ = 0;
  hostile_report out_;
};

}  // namespace

hostile_report run_hostile(std::uint64_t seed) {
  return hostile_world(seed).run();
}

}  // namespace mutant::simulation
