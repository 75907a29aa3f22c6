// The writing half of the embedded store: the part of pad_engine (engine.hpp) that needs LMDB. One thread.
#pragma once

#include <memory>

#include "core/bytes.hpp"
#include "core/engine/engine.hpp"
#include "core/error.hpp"

namespace mutant {

class lmdb_writer {
 public:
  virtual ~lmdb_writer() = default;
  virtual result<void> put(const bytes& record) = 0;
  virtual result<void> put_making_room(const bytes& record) = 0;
  virtual result<void> erase(const bytes& blank) = 0;
  virtual result<void> commit() = 0;
  virtual result<void> tidy() = 0;
  virtual result<std::uint64_t> trim() = 0;
};

// Opens or creates the store; the errors of open_lmdb_engine.
result<std::unique_ptr<lmdb_writer>> open_lmdb_writer(const lmdb_options& options);

}  // namespace mutant
