#include "core/engine/store_faults.hpp"

#include <atomic>

namespace mutant {
namespace {
std::atomic<store_fault_handler> chosen{nullptr};
}

void set_store_fault_handler(store_fault_handler handler) noexcept {
  chosen = handler;
}

void report_store_fault(const char* what) {
  if (auto handler = chosen.load(); handler != nullptr)
    handler(what);
}

}  // namespace mutant
