// Part of kernels.inc.hpp; no include guard.
//
// Formats that fit the scales of their groups (formats::RowScaled), in lanes: what Format::fit() and Format::encode() give.

/// The levels of a format, and the limits between them, as lanes: made by the compiler, so that they are only loaded.
template <class Format>
struct LevelLanes {
  float levels[kLanes];
  float limits[kLanes];

  static constexpr LevelLanes made() {
    using Limits = formats::LevelLimits<Format>;
    LevelLanes lanes{};
    for (std::uint32_t c = 0; c < kLanes; ++c) {
      lanes.levels[c] = Format::level(c);
      lanes.limits[c] = c < Limits::kLimits ? Limits::limit(c) : codec::from_bits(codec::kInfinityBits);
    }
    return lanes;
  }
};
template <class Format>
alignas(64) constexpr LevelLanes<Format> kLevelLanes = LevelLanes<Format>::made();

/// The nearest levels of `weights` over `scale`, of equally near ones the lower.
template <class Format>
HALFTONE_HD FloatLanes nearest_levels(const FloatLanes& weights, float scale) {
  const LaneTable levels(load_lanes(kLevelLanes<Format>.levels, kLanes));
  const LaneTable limits(load_lanes(kLevelLanes<Format>.limits, kLanes));
  const auto nearest = [&](FloatVector & found, const FloatVector& weight) __attribute__((always_inline)) {
    const FloatVector value = weight / scale;
    found = levels[steps_before([&](const WordVector& c) __attribute__((always_inline)) { return value > limits[c]; })];
  };
  return each<FloatVector>(nearest, weights);
}

/// A step of the fit of `n` weights.
template <class Format>
HALFTONE_HD float fitted_once(const float* weights, std::size_t n, float scale) {
  FloatLanes products{};
  FloatLanes squares{};
  for (std::size_t first = 0; first < n; first += kLanes) {
    const FloatLanes lanes = load_lanes(weights + first, n - first);
    const FloatLanes found = first_lanes(nearest_levels<Format>(lanes, scale), n - first);
    const auto add_product =
        [](FloatVector & sum, const FloatVector& before, const FloatVector& a, const FloatVector& b) __attribute__((always_inline)) {
      sum = before + a * b;
    };
    products = each<FloatVector>(add_product, products, lanes, found);
    squares = each<FloatVector>(add_product, squares, found, found);
  }
  const float square = codec::larger(sum_of(squares), Format::kSmallest);
  return codec::larger(sum_of(products) / square, Format::kSmallest);
}

/// Raises lanes to the magnitudes of others.
struct RaiseToMagnitude {
  HALFTONE_HD void operator()(FloatVector& high, const FloatVector& before, const FloatVector& value) const {
    Larger{}(high, before, (FloatVector)((WordVector)value & codec::kMagnitudeMask));
  }
};

/// The scale that the fit of `n` weights begins with.
template <class Format>
HALFTONE_HD float first_scale(const float* weights, std::size_t n) {
  FloatLanes high{};
  for (std::size_t first = 0; first < n; first += kLanes) {
    high = each<FloatVector>(RaiseToMagnitude{}, high, load_lanes(weights + first, n - first));
  }
  return codec::larger(Format::kSmallest, largest_of(high));
}

/// The largest magnitude that `n` weights get with `scale`.
template <class Format>
HALFTONE_HD float largest_given(const float* weights, std::size_t n, float scale) {
  FloatLanes high{};
  for (std::size_t first = 0; first < n; first += kLanes) {
    const FloatLanes found = nearest_levels<Format>(load_lanes(weights + first, n - first), scale);
    high = each<FloatVector>(RaiseToMagnitude{}, high, first_lanes(found, n - first));
  }
  return largest_of(high) * scale;  // of the largest level: no other product is larger
}

/// Groups that are fitted together: each step of a fit waits for the one before, but not for those of other groups.
constexpr std::size_t kGroupsTogether = 8;

/// Format::fit() of up to kGroupsTogether groups of `n` weights, a multiple of 16 or less than that.
template <class Format>
HALFTONE_HD void fit_groups(const float* weights, std::size_t n, std::size_t groups, float* scales, float& largest) {
  // Below this no sum overflows; beyond, and with NaN, the order of every step counts, and Format::fit() has it.
  constexpr float most = 0x1p100F;
  bool usual = true;
  for (std::size_t g = 0; g < groups; ++g) {
    scales[g] = first_scale<Format>(weights + g * n, n);
    usual = usual && scales[g] < most;
  }
  if (!usual) {
    for (std::size_t g = 0; g < groups; ++g) scales[g] = Format::fit(weights + g * n, static_cast<std::uint32_t>(n), largest);
    return;
  }
  for (int round = 0; round < 2; ++round) {
    for (std::size_t g = 0; g < groups; ++g) scales[g] = fitted_once<Format>(weights + g * n, n, scales[g]);
  }
  for (std::size_t g = 0; g < groups; ++g) {
    largest = codec::larger(largest, largest_given<Format>(weights + g * n, n, scales[g]));
  }
}

/// The fitted scale of each group of a row of `n` weights; returns the largest magnitude that the row's groups give.
template <class Format>
float fit(const float* row, std::size_t n, std::size_t group, float* scales) {
  float largest = 0.0F;
  const std::size_t groups = n / group;
  for (std::size_t g = 0; g < groups; g += kGroupsTogether) {
    const std::size_t count = smaller(kGroupsTogether, groups - g);
    const float* weights = row + g * group;
    // The usual size is known to the compiler, which then needs no loop over a group.
    if (group == kLanes) fit_groups<Format>(weights, kLanes, count, scales + g, largest);
    if (group != kLanes) fit_groups<Format>(weights, group, count, scales + g, largest);
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

/// The values of the 16 codes with `scale`: Format::decode_level() of all levels.
template <class Format>
HALFTONE_HD FloatLanes values_of_codes(float scale) {
  const auto decode = [scale](FloatVector & value, const FloatVector& level) __attribute__((always_inline)) {
    constexpr float most = codec::Int8::max_value();
    constexpr float magic = 12582912.0F;  // 1.5 * 2^23: sums are integers
    const FloatVector product = level * scale;
    const FloatVector above = product > -most ? product : FloatVector{} - most;
    value = ((above < most ? above : FloatVector{} + most) + magic) - magic;
  };
  return each<FloatVector>(decode, load_lanes(kLevelLanes<Format>.levels, kLanes));
}

/// Format::encode() of `n` weights that have one scale, a word each.
template <class Format>
HALFTONE_HD void encode_lanes(const float* weights, std::size_t n, float scale, std::uint32_t* words) {
  if (!(scale >= 0.0F)) {
    // Of a row whose fits overflowed: the values do not ascend, and no search finds what counting does.
    for (std::size_t l = 0; l < n; ++l) words[l] = Format::encode(weights[l], scale);
    return;
  }
  const LaneTable values(values_of_codes<Format>(scale));
  const auto encode = [&](WordVector & codes, const FloatVector& weight) __attribute__((always_inline)) {
    codes = steps_before([&](const WordVector& c) __attribute__((always_inline)) { return values[c + 1] - weight < weight - values[c]; });
  };
  for (std::size_t first = 0; first < n; first += kLanes) {
    const auto codes = each<WordVector>(encode, load_lanes(weights + first, n - first));
    __builtin_memcpy(words + first, &codes, smaller(kLanes, n - first) * sizeof(std::uint32_t));
  }
}
