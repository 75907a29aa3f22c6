// The pad store behind s3: URLs: one object per pad in a bucket, by the write rule, without a thread that waits.
//
// A request is a job of a few steps; a step is one HTTP request (core/s3/protocol.hpp), whose answer comes back as a message.
// Every write carries a condition. Counter 1 makes an object; a higher counter replaces the object whose ETag was seen: the
// ETags of what was read and written are remembered, so that a write is one round trip where this client knows the pad, and two
// where it does not. Where a condition does not hold the stored record is looked at: its header first, all of it only if that
// is the same. Where the server does not know conditional removal, an erased pad stays as an object of a few bytes that reads
// as absent.
//
// A server that takes no connection is tried again for connect_patience: it may be starting. A failure that the
// server reports of itself means that the write may have happened: the same request is sent again, and what is found tells.
// What it did not answer at all ends the job with `timeout`, which means "unknown"; who sends the same record again is told by
// its content whether it was ours. A server that wants less gets less: the number of requests at
// a time halves with each such answer and grows again by one when all that are allowed went well.
//
// Memory: what is under way and waits is bounded (job_queue.hpp; a read counts as a whole record). The ETags of max_known_pads
// pads are remembered, the least recently used goes first.
#pragma once

#include <list>
#include <map>

#include "actors/interfaces.hpp"
#include "actors/pads/job_queue.hpp"
#include "core/s3/protocol.hpp"

namespace mutant {

// What carries requests to a bucket: signed and sent by s3_transport, or answered by a test.
class s3_link {
 public:
  using callback = std::function<void(s3::http_answer)>;

  virtual ~s3_link() = default;
  // Calls back once, in whatever thread; after close() not any more.
  virtual void send(s3::request asked, callback then) = 0;
  // What an answer said of clock and region; the next request is signed by it.
  virtual void learn(const s3::judgement& said, const s3::http_answer& answer) = 0;
  // The credentials have expired: requests from here on wait for new ones.
  virtual void renew_credentials() = 0;
  virtual void close() noexcept = 0;
};

struct s3_store_options {
  std::shared_ptr<s3_link> link;
  s3::location where;
  s3::traits how;
  std::optional<error> no_writing;         // nothing is written, and this is what writers are told
  job_limits limits{96u << 20, 48, 65'536};
  std::size_t max_known_pads = 65'536;
  std::chrono::milliseconds connect_patience{10'000};   // a server that takes no connection is tried again so long
  std::uint64_t seed = 0;                  // of the jitter; 0: drawn

  result<void> validate() const;
};

struct s3_store_state {
  using actor_type = pad_store_actor::extend<reacts_to<deferred>>;
  using self_pointer = actor_type::stateful_pointer<s3_store_state>;
  static inline const char* name = "s3_store";
  s3_store_state() = default;
  ~s3_store_state();

  // One request, from its place in the queue to its answer.
  struct job {
    pad_address pad{};
    std::uint64_t counter = 0;
    bytes record;                            // of a put; of an erase: the blank
    bool erasing = false;
    std::size_t charge = 0;                  // bytes
    unsigned steps = 0;
    bool doubt = false;                      // an earlier try of a write may have arrived
    std::optional<caf::actor_clock::time_point> unreachable_since;
    std::function<void(const std::shared_ptr<job>& me)> start;
    std::function<void(error)> fail;
    std::function<void()> done;              // of a write
  };
  using job_ptr = std::shared_ptr<job>;

  // What was last seen of a pad.
  struct known_pad {
    std::uint64_t counter = 0;               // 0: it was erased or absent, and takes any
    std::string etag;                        // empty: there was no object
    std::list<pad_address>::iterator place;  // in `recently`
  };

  caf::result<done> put(bytes record);
  caf::result<done> erase(bytes blank);
  caf::result<done> write(const record_header& header, bytes record, bool erasing);
  caf::result<bytes> read(const pad_address& pad, bool whole);
  caf::result<pad_store_stats> stats();

  void failed(const job_ptr& j, error e);
  void succeeded(const job_ptr& j);
  // Sends one step. `then` gets an answer that is done, absent or refused; all else is repeated, or ends the job.
  using step = std::function<void(s3::verdict, const s3::http_answer&)>;
  void send(const job_ptr& j, s3::request asked, step then);
  void send_later(const job_ptr& j, const s3::request& asked, const step& then);
  void answered(const job_ptr& j, const s3::request& asked, const step& then, const s3::http_answer& answer);
  bool one_more_step(const job_ptr& j);
  void count(const s3::request& asked, const s3::http_answer& answer, s3::verdict what);

  void begin_put(const job_ptr& j);
  void make(const job_ptr& j);
  void replace(const job_ptr& j, const std::string& etag);
  // What is stored? Its header, or all of it if `whole`.
  void look(const job_ptr& j, bool whole);
  void looked(const job_ptr& j, bool whole, s3::verdict what, const s3::http_answer& answer);
  void decide_put(const job_ptr& j, bool whole, const bytes& stored, const record_header& header, const std::string& etag);
  void decide_erase(const job_ptr& j, const record_header& header, const std::string& etag);
  void count_page(const job_ptr& j, const std::shared_ptr<pad_store_stats>& sum, const std::string& after, unsigned pages,
                  const std::function<void(pad_store_stats)>& tell);
  void remember(const pad_address& pad, std::uint64_t counter, std::string etag);
  void remember_absent(const pad_address& pad) { note(pad, 0, {}); }
  void note(const pad_address& pad, std::uint64_t counter, std::string etag);
  void forget(const pad_address& pad);
  std::string object_of(const job_ptr& j) const { return s3::object_of(options.where, j->pad); }
  std::chrono::milliseconds pause_after(unsigned tries);
  void close();

  self_pointer self = nullptr;
  s3_store_options options;
  job_queue<job> jobs;                       // its max_flight is at most that of the options
  std::size_t good_answers = 0;              // since that last changed
  std::map<pad_address, known_pad> known;
  std::list<pad_address> recently;           // the least recently used first
  std::uint64_t random = 0;
  store_traffic traffic;
};

s3_store_state::actor_type::behavior_type s3_store(s3_store_state::self_pointer self, s3_store_options options);

}  // namespace mutant
