#pragma once

#include <algorithm>
#include <cmath>

namespace halftone::learn {

/// The unit of a matrix of binary16 of which elements have magnitudes up to `largest` now: these become about 2^6, so that
/// one can grow a hundredfold, and a row of them can add up, before 65504.
[[nodiscard]] inline float half_unit_for(float largest) {
  constexpr int target = 6;
  constexpr int most = 120;  // the factors of products stay numbers
  if (!(largest > 0.0F)) return 1.0F;
  return std::ldexp(1.0F, std::clamp(target - std::ilogb(largest), -most, most));
}

}  // namespace halftone::learn
