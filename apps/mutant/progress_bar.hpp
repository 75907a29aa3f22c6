// A line on the terminal that says how far a transfer is, how fast it goes and how long it will take.
//
// It is drawn by a thread of its own, ten times a second: the transfer only leaves numbers behind, and never waits for a
// terminal. Nothing is drawn during the first moments, so short transfers show nothing.
#pragma once

#include <memory>
#include <string>

#include "actors/client.hpp"

namespace mutant::cli {

class progress_bar {
 public:
  // `shown`: false makes all of it do nothing.
  progress_bar(bool shown, std::string label);
  ~progress_bar();  // erases the line
  progress_bar(const progress_bar&) = delete;
  progress_bar& operator=(const progress_bar&) = delete;

  progress_callback callback() const;   // empty if nothing is shown

  // Is standard error a terminal that one can draw on?
  static bool possible();
  // Erases a line that is being shown. For the signal thread.
  static void erase() noexcept;

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace mutant::cli
