#include "core/resources.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "core/files.hpp"

namespace mutant {

result<void> check_threads(std::size_t count) {
  std::atomic<bool> enough = false;
  std::vector<std::thread> started;
  started.reserve(count);
  auto refused = 0;
  while (started.size() < count && refused == 0) {
    try {
      started.emplace_back([&enough] { enough.wait(false); });
    } catch (const std::system_error& e) {
      refused = e.code().value();
    }
  }
  enough = true;
  enough.notify_all();
  for (auto& thread : started)
    thread.join();
  if (refused == 0)
    return {};
  return fail(errno_error(refused, "this needs " + std::to_string(count) + " threads, and the system gave "
                                       + std::to_string(started.size())
                                       + " (see ulimit -u and -v, and the limits of the container; --threads takes fewer)"));
}

result<void> check_descriptors(std::size_t count) {
  std::vector<unique_fd> opened;
  opened.reserve(count);
  while (opened.size() < count) {
    unique_fd one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!one)
      return fail(errno_error(errno, "this needs " + std::to_string(count) + " descriptors, and "
                                         + std::to_string(opened.size()) + " are left (see ulimit -n)"));
    opened.push_back(std::move(one));
  }
  return {};
}

std::string text_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::system_error& e) {
    if (e.code() == std::errc::resource_unavailable_try_again)
      return "the system gave no more threads (see ulimit -u and -v, and the limits of the container)";
    return e.what();
  } catch (const std::bad_alloc&) {
    return "the system gave no more memory (see ulimit -v, and the limits of the container)";
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

std::size_t raise_descriptor_limit(std::size_t wanted) noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return SIZE_MAX;
  if (limit.rlim_cur < wanted) {
    auto more = limit;
    more.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &more) == 0)
      limit = more;
  }
  return static_cast<std::size_t>(limit.rlim_cur);
}

}  // namespace mutant
