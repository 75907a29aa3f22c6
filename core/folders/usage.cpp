#include "core/folders/usage.hpp"

namespace mutant {

void usage_counter::close_last() {
  const auto last = std::move(open_.back());
  open_.pop_back();
  if (!open_.empty()) {
    open_.back().values += last.values;
    open_.back().bytes += last.bytes;
  }
  whole_(last);
}

void usage_counter::add(std::string_view path, std::uint64_t bytes) {
  while (open_.size() > 1 && !path.starts_with(open_.back().path))
    close_last();
  while (true) {
    const auto begin = open_.back().path.size();
    const auto slash = path.find('/', begin);
    if (slash == std::string_view::npos)
      break;
    open_.push_back({std::string(path.substr(0, slash + 1)), open_.size(), 0, 0});
  }
  open_.back().values += (path.empty() || path.ends_with('/')) && bytes == 0 ? 0 : 1;
  open_.back().bytes += bytes;
}

void usage_counter::finish() {
  while (!open_.empty())
    close_last();
}

}  // namespace mutant
