#include "apps/mutant/progress_bar.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "apps/mutant/text.hpp"

namespace mutant::cli {

namespace {

using clock = std::chrono::steady_clock;

constexpr auto redraw_pause = std::chrono::milliseconds(100);
constexpr auto first_pause = std::chrono::milliseconds(300);
constexpr auto rate_window = std::chrono::seconds(5);
constexpr std::string_view erase_line = "\r\x1b[K";

std::atomic<bool> line_is_shown = false;

void draw(std::string_view text) noexcept {
  [[maybe_unused]] auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

std::string duration(std::uint64_t seconds) {
  std::array<char, 32> text{};
  if (seconds >= 3600)
    std::snprintf(text.data(), text.size(), "%llu:%02llu:%02llu", static_cast<unsigned long long>(seconds / 3600),
                  static_cast<unsigned long long>(seconds / 60 % 60), static_cast<unsigned long long>(seconds % 60));
  else
    std::snprintf(text.data(), text.size(), "%llu:%02llu", static_cast<unsigned long long>(seconds / 60),
                  static_cast<unsigned long long>(seconds % 60));
  return text.data();
}

// Bytes a second over the last moments.
class rate_meter {
 public:
  std::optional<double> add(clock::time_point now, std::uint64_t done) {
    samples_.push_back({now, done});
    while (samples_.size() > 2 && now - samples_.front().at > rate_window)
      samples_.pop_front();
    const std::chrono::duration<double> span = now - samples_.front().at;
    if (span.count() < 0.2 || done < samples_.front().done)
      return std::nullopt;
    return static_cast<double>(done - samples_.front().done) / span.count();
  }

 private:
  struct sample {
    clock::time_point at;
    std::uint64_t done;
  };
  std::deque<sample> samples_;
};

std::string render(const std::string& label, std::uint64_t done, std::optional<std::uint64_t> total,
                   std::optional<double> rate) {
  auto figures = human_bytes(done);
  if (total)
    figures += " of " + human_bytes(*total);
  if (rate)
    figures += "  " + human_bytes(static_cast<std::uint64_t>(*rate)) + "/s";
  if (total && rate && *rate > 0 && done < *total)
    figures += "  " + duration(static_cast<std::uint64_t>(static_cast<double>(*total - done) / *rate) + 1) + " left";
  const auto width = terminal_width() - 1;
  auto line = label.size() + 2 + figures.size() <= width ? label + "  " : std::string();
  const auto used = line.size() + figures.size() + 11;
  if (total && *total > 0 && used + 8 <= width) {
    const auto share = std::min(1.0, static_cast<double>(done) / static_cast<double>(*total));
    const auto cells = std::min<std::size_t>(40, width - used);
    const auto full = static_cast<std::size_t>(share * static_cast<double>(cells));
    std::array<char, 8> percent{};
    std::snprintf(percent.data(), percent.size(), "%3d %%", static_cast<int>(share * 100));
    line += "[" + std::string(full, '#') + std::string(cells - full, '.') + "] " + percent.data() + "  ";
  }
  return line + figures;
}

}  // namespace

struct progress_bar::state {
  std::string label;
  std::atomic<std::uint64_t> done = 0;
  std::atomic<std::uint64_t> total = 0;
  std::atomic<bool> total_known = false;
  std::mutex mutex;
  std::condition_variable wake;
  bool over = false;
  std::thread painter;

  void paint() {
    rate_meter meter;
    std::unique_lock lock(mutex);
    for (auto pause = first_pause; !wake.wait_for(lock, pause, [this] { return over; }); pause = redraw_pause) {
      const auto now_done = done.load();
      const auto rate = meter.add(clock::now(), now_done);
      const auto now_total = total_known ? std::optional(total.load()) : std::nullopt;
      line_is_shown = true;
      lock.unlock();
      draw(std::string(erase_line) + render(label, now_done, now_total, rate));
      lock.lock();
    }
  }
};

progress_bar::progress_bar(bool shown, std::string label) {
  if (!shown)
    return;
  state_ = std::make_shared<state>();
  state_->label = std::move(label);
  state_->painter = std::thread([s = state_.get()] { s->paint(); });
}

progress_bar::~progress_bar() {
  if (!state_)
    return;
  {
    std::lock_guard lock(state_->mutex);
    state_->over = true;
  }
  state_->wake.notify_all();
  state_->painter.join();
  erase();
}

progress_callback progress_bar::callback() const {
  if (!state_)
    return {};
  return [s = state_](const progress& p) {
    s->done = p.bytes_done;
    if (p.bytes_total) {
      s->total = *p.bytes_total;
      s->total_known = true;
    }
  };
}

bool progress_bar::possible() {
  const auto* terminal = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && (terminal == nullptr || std::string_view(terminal) != "dumb");
}

void progress_bar::erase() noexcept {
  if (line_is_shown.exchange(false))
    draw(erase_line);
}

}  // namespace mutant::cli
