// Part of kernels.inc.hpp; no include guard.
//
// The scales of formats that fit them.

/// The fitted scale of each group of a row of `n` weights; returns the largest magnitude that the row's groups give.
template <class Format>
float fit(const float* row, std::size_t n, std::size_t group, float* scales) {
  float largest = 0.0F;
  // The usual size is known to the compiler, which then needs no loop over a group.
  if (group == 16) {
    for (std::size_t g = 0; g < n / 16; ++g) scales[g] = Format::fit(row + 16 * g, 16, largest);
    return largest;
  }
  for (std::size_t first = 0, g = 0; first < n; first += group, ++g) {
    scales[g] = Format::fit(row + first, static_cast<std::uint32_t>(group), largest);
  }
  return largest;
}

/// The fit of a format that has one.
template <class Format>
constexpr auto kFitOf = []() -> KernelTable::Fit {
  if constexpr (formats::RowScaled<Format>) {
    return fit<Format>;
  } else {
    return nullptr;
  }
}();
