#include "benchmarks/load/schedule.hpp"

#include <string>

namespace mutant::load {

std::string_view name_of(arrival how) noexcept {
  return how == arrival::poisson ? "poisson" : "constant";
}

result<arrival> parse_arrival(std::string_view text) {
  for (auto how : {arrival::poisson, arrival::constant})
    if (text == name_of(how))
      return how;
  return fail(errc::invalid_argument, "'" + std::string(text) + "' is no kind of arrivals: poisson or constant");
}

}  // namespace mutant::load
