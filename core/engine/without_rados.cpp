// In place of rados_pool.cpp in a build without librados.
#include "core/engine/rados_pool.hpp"

namespace mutant {

result<std::shared_ptr<rados_pool>> open_rados_pool(const rados_options&) {
  return fail(errc::unsupported, "this build has no rados: stores. Install libradospp-dev (scripts/install-dependencies rados) "
                                 "and configure and build again; with MUTANT_WITH_RADOS=ON a missing library is an error");
}

}  // namespace mutant
