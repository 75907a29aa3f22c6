// What clients do: kinds of operations, their shares, and the presets: YCSB's A to F, and upload, download and mixed.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "benchmarks/load/draws.hpp"
#include "benchmarks/load/key_choice.hpp"
#include "core/error.hpp"

namespace mutant::load {

enum class operation_kind : std::uint8_t {
  load,       // a put of the load phase
  read,       // get
  update,     // put over a key that is there
  insert,     // put of a new key
  scan,       // list of some keys in order
  modify,     // get, then put if the version is still that (read-modify-write)
  upload,     // put of a large value, streamed
  download,   // get of a large value, streamed
};

constexpr std::size_t operation_kinds = 8;
std::string_view name_of(operation_kind kind) noexcept;
template <class T>
using per_kind = std::array<T, operation_kinds>;

// Weights, not necessarily adding up to one.
class operation_mix {
 public:
  // "read=95,update=5"; invalid_argument: an unknown kind, load, no weight above 0.
  static result<operation_mix> parse(std::string_view text);

  operation_kind draw(draws& random) const;
  bool has(operation_kind kind) const noexcept { return share(kind) > 0; }
  double share(operation_kind kind) const noexcept;   // 0 … 1
  // Any kind on small values, on large values.
  bool small() const noexcept;
  bool large() const noexcept { return has(operation_kind::upload) || has(operation_kind::download); }
  // "50 % read, 50 % update"
  std::string text() const;

 private:
  friend struct workload;
  per_kind<double> weights_{};
  double sum_ = 0;
};

// A preset, or a mix with the defaults of A.
struct workload {
  std::string name;
  operation_mix mix;
  key_order order = key_order::zipfian;
  std::uint64_t clients = 64;

  // "a" … "f", "upload", "download", "mixed", or a mix. invalid_argument: neither.
  static result<workload> parse(std::string_view text);
};

// One line for each preset, for --help.
std::string preset_help();

}  // namespace mutant::load
