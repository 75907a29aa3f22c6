// A command whose standard output is the value of a put. The value counts only if the command says that it succeeded: a pipe
// alone cannot tell a producer that is done from one that died half way.
//
// Shared by who started it and who reads: its descriptors stay open until both are done.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/files.hpp"

namespace mutant::cli {

class producer {
 public:
  // Starts words[0], looked for in $PATH. invalid_argument: it cannot be started.
  static result<std::shared_ptr<const producer>> start(const std::vector<std::string>& words);
  producer(const producer&) = delete;
  producer& operator=(const producer&) = delete;
  ~producer();

  int output() const noexcept { return output_.get(); }
  // Waits for its end; io_error unless that is exit code 0. Once, from any thread.
  result<void> succeeded() const;
  // Ends a command that is still running: SIGTERM, and after some seconds SIGKILL.
  void stop() const;

 private:
  producer(std::string name, unique_fd output, unique_fd process)
      : name_(std::move(name)), output_(std::move(output)), process_(std::move(process)) {}
  std::string name_;
  unique_fd output_;
  unique_fd process_;   // a pidfd: names this process only, also when it is gone
};

}  // namespace mutant::cli
