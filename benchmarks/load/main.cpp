// mutant-load: puts load on a store, checks what it reads, and reports. benchmarks/README.md describes its use.
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "apps/mutant/console.hpp"
#include "apps/mutant/signals.hpp"
#include "benchmarks/load/fault_profile.hpp"
#include "benchmarks/load/report.hpp"
#include "core/files.hpp"

namespace mutant::load {

namespace {

int failed(const error& e) {
  std::fprintf(stderr, "mutant-load: %s\n", e.message.c_str());
  return cli::exit_code(e.code);
}

result<void> write_file(const std::string& path, const std::string& text) {
  auto file = replacement_file::create(path);
  if (!file)
    return fail(file.error());
  if (auto written = write_all_at(file->descriptor(), 0, as_byte_view(text), path); !written)
    return written;
  return file->commit(text.size());
}

// One line on the terminal that is written over and over.
void show_progress(phase what, double seconds, std::uint64_t operations, double rate) {
  std::fprintf(stderr, "\r\033[K%s", progress_line(what, seconds, operations, rate).c_str());
}

void erase_progress() {
  std::fputs("\r\033[K", stderr);
}

// A signal ends the run in order; a second one ends the process.
class stopping {
 public:
  void operator()(std::function<void()> stop) {
    scope_.reset();
    if (stop)
      scope_.emplace(cli::on_signal::cancel, std::move(stop));
  }

 private:
  std::optional<cli::signal_scope> scope_;
};

int report(const settings& s, const run_result& done) {
  const auto document = make_report(s, done);
  if (s.json_file == "-")
    std::printf("%s\n", cli::dump(document).c_str());
  else
    std::fputs(as_text(document).c_str(), stdout);
  std::fflush(stdout);
  const auto code = exit_code_of(*done.outcome, tampers(s.faults));
  if (document.contains("message"))
    std::fprintf(stderr, "mutant-load: %s%s\n", code == 5 && done.outcome->why ? "WRONG VALUE: " : "",
                 document["message"].get<std::string>().c_str());
  if (!s.json_file.empty() && s.json_file != "-")
    if (auto written = write_file(s.json_file, cli::dump(document) + "\n"); !written)
      return failed(written.error());
  if (!s.html_file.empty())
    if (auto written = write_file(s.html_file, as_html(document)); !written)
      return failed(written.error());
  return code;
}

int run(const settings& s) {
  const auto watched = ::isatty(STDERR_FILENO) == 1 && !s.quiet;
  cli::start_signals([watched] {
    if (watched)
      erase_progress();
  });
  stopping stoppable;
  auto done = run_load(s, watched ? show_progress : decltype(&show_progress)(nullptr),
                       [&stoppable](std::function<void()> stop) { stoppable(std::move(stop)); });
  if (watched)
    erase_progress();
  return done ? report(s, *done) : failed(done.error());
}

}  // namespace

}  // namespace mutant::load

int main(int count, char** words) {
  auto command = mutant::load::parse_command(count, words);
  if (!command)
    return mutant::load::failed(command.error());
  if (!command->run) {
    std::fputs(command->text.c_str(), stdout);
    return 0;
  }
  return mutant::load::run(*command->run);
}
