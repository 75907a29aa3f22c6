#include "core/engine/write_queue.hpp"

#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "core/files.hpp"

namespace mutant {

bool write_queue::set_up() {
  if (!std::exchange(asked_, true)) {
    aio_context_t context = 0;
    if (::syscall(SYS_io_setup, max_in_flight, &context) == 0)
      context_ = context;
  }
  return context_ != 0;
}

write_queue::~write_queue() {
  static_cast<void>(drain());
  if (context_ != 0)
    ::syscall(SYS_io_destroy, context_);
}

result<void> write_queue::submit(segment_file& file, std::uint64_t offset, bytes record) {
  block_padded payload(std::move(record), file.is_direct());
  if (!file.is_direct() || !set_up()) {
    auto written = file.write(offset, payload);
    if (written)
      begin_writeback(file.descriptor(), offset, payload.size());
    return written;
  }
  auto* s = free_slot();
  s->file = &file;
  s->offset = offset;
  s->payload.emplace(std::move(payload));
  if (!start(*s))
    finish(*s, -1);
  return failure_ ? fail(*failure_) : result<void>();
}

write_queue::slot* write_queue::free_slot() {
  if (in_flight_ == max_in_flight)
    wait_for_one();
  return std::ranges::find(slots_, nullptr, &slot::file);
}

bool write_queue::start(slot& s) {
  auto parts = s.payload->parts();
  iocb request{};
  request.aio_data = reinterpret_cast<std::uintptr_t>(&s);
  request.aio_lio_opcode = IOCB_CMD_PWRITEV;
  request.aio_fildes = static_cast<std::uint32_t>(s.file->descriptor());
  request.aio_buf = reinterpret_cast<std::uintptr_t>(parts.data());  // the kernel copies it
  request.aio_nbytes = parts.size();
  request.aio_offset = static_cast<std::int64_t>(s.offset);
  auto* requests = &request;
  if (::syscall(SYS_io_submit, context_, 1, &requests) != 1)
    return false;
  ++in_flight_;
  return true;
}

void write_queue::finish(slot& s, std::int64_t written) {
  if (written != static_cast<std::int64_t>(s.payload->size()))
    if (auto again = s.file->write(s.offset, *s.payload); !again && !failure_)
      failure_ = again.error();
  s.payload.reset();
  s.file = nullptr;
}

void write_queue::wait_for_one() {
  io_event event{};
  auto count = ::syscall(SYS_io_getevents, context_, 1, 1, &event, nullptr);
  if (count == 1) {
    --in_flight_;
    finish(*reinterpret_cast<slot*>(static_cast<std::uintptr_t>(event.data)), event.res);
  } else if (count < 0 && errno != EINTR) {
    std::abort();  // the queue is ours: anything else is a bug, and the kernel may still be reading the memory
  }
}

result<void> write_queue::drain() {
  while (in_flight_ != 0)
    wait_for_one();
  if (failure_)
    return fail(*std::exchange(failure_, std::nullopt));
  return {};
}

}  // namespace mutant
