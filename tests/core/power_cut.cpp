#include "tests/core/power_cut.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>

namespace mutant::engine_test {
namespace {

constexpr std::uint64_t block = 4096;
constexpr unsigned certain = 256;

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string path_behind(int descriptor) {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), ignored).string();
}

// Contents with whatever was done to them; written out at the end.
class image {
 public:
  explicit image(std::map<std::string, std::string> files) : files_(std::move(files)) {}
  std::string& file(const std::string& name) { return files_[name]; }
  void forget(const std::string& name) { files_.erase(name); }
  void write_to(const std::string& directory) const {
    std::filesystem::create_directory(directory);
    for (auto& [name, content] : files_)
      std::ofstream(directory + '/' + name, std::ios::binary) << content;
  }

 private:
  std::map<std::string, std::string> files_;
};

}  // namespace

power_cut_recorder::power_cut_recorder(std::string directory)
    : directory_(std::filesystem::canonical(directory).string()),
      before_([this] {
        std::map<std::string, std::string> files;
        for (auto& entry : std::filesystem::directory_iterator(directory_))
          files[entry.path().filename().string()] = content_of(entry.path());
        return files;
      }()),
      watching_([this](const io_event& event) { return record(event); }) {}

int power_cut_recorder::record(const io_event& event) {
  if (event.call == io_call::completed) {
    if (auto at = queued_.find(event.queued); at != queued_.end()) {
      calls_[at->second].covered_from = calls_.size();
      queued_.erase(at);
    }
    return 0;
  }
  if (event.call == io_call::open_direct || event.call == io_call::queue)
    return 0;
  const auto path = event.path != nullptr ? std::string(event.path) : path_behind(event.descriptor);
  const auto of_directory = path == directory_;
  if (!of_directory && !path.starts_with(directory_ + '/'))
    return 0;
  call c{event.call, of_directory ? std::string() : path.substr(directory_.size() + 1),
         static_cast<std::uint64_t>(event.offset), event.length, {}, calls_.size() + 1, false};
  for (auto& part : event.parts)
    c.data.append(static_cast<const char*>(part.iov_base), part.iov_len);
  if (event.queued != 0) {
    c.covered_from = std::numeric_limits<std::size_t>::max();
    queued_[event.queued] = calls_.size();
  }
  c.durable = event.call == io_call::write && (::fcntl(event.descriptor, F_GETFL) & O_DSYNC) != 0;
  calls_.push_back(std::move(c));
  return 0;
}

std::vector<std::size_t> power_cut_recorder::syncs() const {
  std::vector<std::size_t> points;
  for (std::size_t i = 0; i < calls_.size(); ++i)
    if (calls_[i].kind == io_call::sync || calls_[i].durable)
      points.push_back(i + 1);
  return points;
}

bool power_cut_recorder::is_durable(std::size_t index, std::size_t point) const {
  const auto& what = calls_[index];
  if (what.durable)
    return true;
  for (auto i = std::max(index + 1, what.covered_from); i < point; ++i)
    if (calls_[i].kind == io_call::sync && calls_[i].file == what.file)
      return true;
  return false;
}

void power_cut_recorder::replay(std::size_t point, unsigned likely, std::mt19937_64& random,
                                const std::string& target) const {
  image left(before_);
  auto happens = [&](bool durable) { return durable || random() % certain < likely; };
  for (std::size_t index = 0; index < point; ++index) {
    const auto& c = calls_[index];
    if (c.kind == io_call::sync)
      continue;
    const auto durable = is_durable(index, point);
    if (c.kind == io_call::write) {
      auto& content = left.file(c.file);
      for (std::uint64_t at = 0; at < c.data.size();) {
        const auto part = std::min(block - (c.offset + at) % block, c.data.size() - at);
        if (happens(durable)) {
          if (content.size() < c.offset + at + part)
            content.resize(c.offset + at + part);
          content.replace(c.offset + at, part, c.data, at, part);
        }
        at += part;
      }
    } else if (happens(durable)) {
      auto& content = left.file(c.file);
      if (c.kind == io_call::truncate)
        content.resize(c.offset);
      else if (c.kind == io_call::allocate)
        content.resize(std::max<std::size_t>(content.size(), c.offset + c.length));
      else if (c.offset < content.size())
        std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(c.offset),
                    std::min<std::uint64_t>(c.length, content.size() - c.offset), '\0');
    }
  }
  // Names: the first call on a new file comes after it got one.
  std::map<std::string, std::size_t> appeared;
  for (std::size_t index = 0; index < point; ++index)
    if (!calls_[index].file.empty() && !before_.contains(calls_[index].file))
      appeared.emplace(calls_[index].file, index);
  for (auto& [name, since] : appeared) {
    auto named = false;
    for (auto i = since + 1; i < point && !named; ++i)
      named = calls_[i].kind == io_call::sync && calls_[i].file.empty();
    if (!happens(named))
      left.forget(name);
  }
  left.forget("lock.mdb");  // of processes that are gone
  left.write_to(target);
}

}  // namespace mutant::engine_test
