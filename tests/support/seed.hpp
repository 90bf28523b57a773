#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace halftone::test {

/// What random tests begin with: HALFTONE_TEST_SEED, or a constant.  Tests put it into their messages.
inline std::uint64_t random_seed() {
  const char* given = std::getenv("HALFTONE_TEST_SEED");
  return given == nullptr ? 20'260'722 : std::stoull(given);
}

}  // namespace halftone::test
