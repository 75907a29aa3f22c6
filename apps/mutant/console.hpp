// What the program says. Results go to standard output, everything else to standard error.
//
// With --json, standard output gets exactly one JSON document, also when something fails. Used by the main thread;
// interrupted() and fault() alone are called by other threads, and the process ends right behind them.
#pragma once

#include <atomic>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace mutant {

struct store_traffic;

}  // namespace mutant

namespace mutant::cli {

using json = nlohmann::ordered_json;

// docs/operations.md, "Exit codes".
int exit_code(errc code) noexcept;
constexpr int exit_usage = 2;
constexpr int exit_interrupted = 130;

// Adds a key under `name`, or under `name`_base64 if it is no UTF-8.
void add_key(json& to, const std::string& name, std::string_view key);
// What a store was asked: {"requests": {KIND: COUNT}, "sent_bytes", "received_bytes", "retries"}.
json traffic_json(const store_traffic& traffic);
// One line; bytes that are no UTF-8 (in file names) are replaced.
std::string dump(const json& document);

class console {
 public:
  bool use_json = false;
  bool quiet = false;

  // Standard error, unless --quiet.
  void note(std::string_view text) const;
  // What was done, for people: on standard output, unless --quiet or --json. When nobody can be told there, finish() says it.
  void summary(std::string_view line);
  // Results on standard output.
  void print(std::string_view text);
  void document(const json& what);
  // Says what went wrong and returns the exit code. `subject`: "put 'greeting'". `more` joins the JSON document.
  int failed(std::string_view subject, const error& e, json more = json::object());
  // Makes what was printed visible now.
  void flush();
  // Standard output takes no more: who only prints may stop.
  bool is_closed() const noexcept { return output_errno_ != 0; }
  // Writes what is left. The exit code: `code`, unless standard output has failed. Somebody who has read enough, and closed it
  // (`ls | head`), is no failure of a command that only prints.
  int finish(int code);

  void interrupted() const noexcept;
  // The program ends because of this. Takes no memory; signal handlers may call it.
  void fault(std::string_view what, errc code = errc::io_error) const noexcept;

 private:
  void last_words(std::string_view code, std::string_view what) const noexcept;

  std::string pending_;
  std::atomic<bool> begun_ = false;  // something has reached standard output
  int output_errno_ = 0;
  std::string accomplished_;         // the first summary
  std::size_t accomplishments_ = 0;
};

}  // namespace mutant::cli
