// Programs that a benchmark starts: the node that it measures, the peers that it is measured against.
//
// A child ends with its object (SIGKILL); what it writes to standard error goes where ours goes. One thread each.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

extern char** environ;

namespace mutant::bench {

class child_process {
 public:
  // Ends this program when it cannot be started. The first word is looked up in PATH.
  explicit child_process(std::vector<std::string> words) : name_(words.front()) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      give_up("pipe");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::vector<char*> argv;
    for (auto& word : words)
      argv.push_back(word.data());
    argv.push_back(nullptr);
    if (::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0)
      give_up("starting");
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
  }
  child_process(child_process&& other) noexcept
      : name_(std::move(other.name_)), pid_(std::exchange(other.pid_, 0)), output_(std::exchange(other.output_, -1)) {}
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  ~child_process() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (output_ >= 0)
      ::close(output_);
  }

  // Without its end; empty: there is no more.
  std::string read_line() {
    std::string line;
    for (char c = 0; ::read(output_, &c, 1) == 1 && c != '\n';)
      line += c;
    return line;
  }
  std::string read_all() {
    std::string text;
    char some[4096];
    for (ssize_t n = 0; (n = ::read(output_, some, sizeof some)) > 0;)
      text.append(some, static_cast<std::size_t>(n));
    return text;
  }

  // Waits for the end, which must be a good one; the CPU seconds that the program took.
  double finish() {
    int status = 0;
    rusage used{};
    ::wait4(std::exchange(pid_, 0), &status, 0, &used);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      give_up("running");
    return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
           + static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  }
  // Asks it to stop, and waits.
  double stop() {
    ::kill(pid_, SIGTERM);
    return finish();
  }

  // So far, user and system; to the hundredth.
  double cpu_seconds() const {
    std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    std::istringstream fields(text.substr(text.rfind(')') + 2));
    std::string skipped;
    for (int i = 3; i < 14; ++i)
      fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  // RssAnon now.
  std::uint64_t anonymous_bytes() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("RssAnon:"))
        return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
    return 0;
  }

 private:
  [[noreturn]] void give_up(const char* doing) const {
    std::fprintf(stderr, "%s %s failed\n", doing, name_.c_str());
    std::exit(1);
  }

  std::string name_;
  pid_t pid_ = 0;
  int output_ = -1;
};

// The command line of this build, beside the benchmark.
inline std::string mutant_program() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "apps/mutant/mutant").string();
}

// A directory that goes with its object. Under `where`, or where temporary files go.
class scratch_directory {
 public:
  explicit scratch_directory(const std::string& where)
      : path_((where.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(where))
              / ("bench-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  // Empty, whatever was there.
  std::string fresh(const std::string& name) const {
    std::filesystem::remove_all(path_ / name);
    std::filesystem::create_directories(path_ / name);
    return file(name);
  }

 private:
  std::filesystem::path path_;
};

}  // namespace mutant::bench
