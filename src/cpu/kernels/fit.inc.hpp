// Part of kernels.inc.hpp; no include guard.
//
// Formats that fit the scales of their groups (formats::RowScaled), a group in each lane: what Format::fit() gives.

/// The cells that tell levels apart: rounded to a multiple of 1/8, a value is in cell -7 to 7, and each has one limit
/// between levels in it.
template <class Format>
struct LevelCellLanes {
  static constexpr std::uint32_t kCells = 15;
  static constexpr std::int32_t kLastCell = 7;
  /// 1.5 * 2^20: the unit in the last place of sums is 1/8, so that their low bits are the cell.
  static constexpr float kMagic = 0x1.8p20F;
  static constexpr std::int32_t kMagicBits = static_cast<std::int32_t>(codec::bits(kMagic));

  // By the low 4 bits of a cell: its limit, and the level below the limit; that above is the level below the next.
  float limits[kLanes];
  float levels[kLanes];

  static constexpr LevelCellLanes made() {
    LevelCellLanes lanes{};
    for (std::uint32_t c = 0; c < kCells; ++c) lanes.limits[(c - kLastCell) % kLanes] = formats::LevelLimits<Format>::limit(c);
    for (std::uint32_t c = 0; c < kLanes; ++c) lanes.levels[(c - kLastCell) % kLanes] = Format::level(c);
    return lanes;
  }
  static constexpr bool has_one_limit_in_each() {
    bool right = true;
    for (std::int32_t c = 0; c < static_cast<std::int32_t>(kCells); ++c) {
      const float limit = formats::LevelLimits<Format>::limit(static_cast<std::uint32_t>(c));
      right = right && static_cast<std::int32_t>(codec::bits(limit + kMagic)) - kMagicBits == c - kLastCell;
    }
    return right;
  }
};
template <class Format>
alignas(64) constexpr LevelCellLanes<Format> kLevelCellLanes = LevelCellLanes<Format>::made();

/// The level nearest to each of some numbers that are not NaN, of equally near ones the lower.
template <class Format>
class NearestLevel {
 public:
  HALFTONE_HD NearestLevel()
      : limits_(load_all_lanes(kLevelCellLanes<Format>.limits)), levels_(load_all_lanes(kLevelCellLanes<Format>.levels)) {}

  HALFTONE_HD void operator()(FloatVector& found, const FloatVector& value) const {
    using Cells = LevelCellLanes<Format>;
    static_assert(Cells::has_one_limit_in_each(), "other levels need other cells");
    constexpr std::int32_t first = Cells::kMagicBits - Cells::kLastCell;
    constexpr std::int32_t last = Cells::kMagicBits + Cells::kLastCell;
    // As integers, sums ascend like the values, and what is far outside stays outside.
    auto cell = (IntegerVector)(value + Cells::kMagic);
    cell = cell > first ? cell : IntegerVector{} + first;
    cell = cell < last ? cell : IntegerVector{} + last;
    found = levels_[(WordVector)(cell - (IntegerVector)(value > limits_[(WordVector)cell]))];  // a comparison gives -1
  }

 private:
  LaneTable limits_;
  LaneTable levels_;
};

/// Groups that are fitted together, one in each lane of a register.
constexpr std::size_t kGroupsTogether = kRegisterLanes;
/// Elements of the largest group that is fitted so.
constexpr std::size_t kMostColumns = 128;

/// The weights of some groups: register i has weight i of each group.
struct GroupColumns {
  FloatVector of[kMostColumns];

  /// `count` groups of `n` weights one after another; lanes beyond have the first group once more.
  HALFTONE_HD GroupColumns(const float* weights, std::size_t n, std::size_t count) {
    of[0] = FloatVector{};  // what the compiler does not know: a group has at least one weight
    for (std::size_t first = 0; first < n; first += kGroupsTogether) {
      FloatVector rows[kGroupsTogether];
      for (std::size_t g = 0; g < kGroupsTogether; ++g) {
        rows[g] = load_register(weights + (g < count ? g : 0) * n + first, n - first);
      }
      transpose(rows);
      for (std::size_t i = 0; i < smaller(kGroupsTogether, n - first); ++i) of[first + i] = rows[i];
    }
  }
};

/// The weights of each group that are farthest from zero, of both signs; in a group of one sign, the same twice.
struct Outermost {
  FloatVector high;
  FloatVector low;

  HALFTONE_HD Outermost(const GroupColumns& columns, std::size_t n) {
    auto as_integer = (IntegerVector)columns.of[0];
    auto as_word = (WordVector)columns.of[0];
    for (std::size_t i = 1; i < n; ++i) {
      // The larger integer is the larger positive number, the larger word the larger negative one.
      const auto integer = (IntegerVector)columns.of[i];
      const auto word = (WordVector)columns.of[i];
      as_integer = integer > as_integer ? integer : as_integer;
      as_word = word > as_word ? word : as_word;
    }
    high = (FloatVector)as_integer;
    low = (FloatVector)as_word;
  }
};

/// Sums over the weights of each group.
struct FitSums {
  FloatVector products;
  FloatVector squares;
};

/// The sums over lanes First, First + Step, … of 16 (element i is in lane i mod 16), in the order that sums by halves have.
template <class Format, std::size_t First = 0, std::size_t Step = 1>
HALFTONE_HD void add_up(const NearestLevel<Format>& nearest, const GroupColumns& columns, std::size_t n, const FloatVector& scale,
                        FitSums& sums) {
  if constexpr (Step == kLanes) {
    sums = FitSums{};
    for (std::size_t i = First; i < n; i += kLanes) {
      FloatVector found;
      nearest(found, columns.of[i] / scale);
      sums.products += columns.of[i] * found;
      sums.squares += found * found;
    }
  } else {
    FitSums others;
    add_up<Format, First, 2 * Step>(nearest, columns, n, scale, sums);
    add_up<Format, First + Step, 2 * Step>(nearest, columns, n, scale, others);
    sums.products += others.products;
    sums.squares += others.squares;
  }
}

/// The largest magnitude that the groups of a row get.
struct RowLargest {
  float before = 0.0F;      ///< of groups that Format::fit() fitted, and of those before them
  FloatVector of_others{};  ///< of groups since then, by lanes

  /// Of all; what is not a number stays where no number follows, as Format::fit() has it.
  HALFTONE_HD float of_all() const {
    const float others = largest_in(of_others);
    return others > 0.0F ? codec::larger(before, others) : before;
  }
};

/// Format::fit() of up to kGroupsTogether groups of `n` weights, a multiple of 16 or less than that; raises
/// `largest`.
template <class Format>
HALFTONE_HD void fit_groups(const float* weights, std::size_t n, std::size_t count, float* scales, RowLargest& largest) {
  // Below this no sum overflows; beyond, and with NaN, the order of every step counts, and Format::fit() has it.
  constexpr float most = 0x1p100F;
  const FloatVector smallest = FloatVector{} + Format::kSmallest;
  const GroupColumns columns(weights, n, count);
  const Outermost outermost(columns, n);
  FloatVector scale = larger_of(smallest, larger_of(magnitudes(outermost.high), magnitudes(outermost.low)));
  if (!(largest_in(scale) < most)) {
    largest = {largest.of_all(), FloatVector{}};
    for (std::size_t g = 0; g < count; ++g) scales[g] = Format::fit(weights + g * n, static_cast<std::uint32_t>(n), largest.before);
    return;
  }
  const NearestLevel<Format> nearest;
  for (int round = 0; round < 2; ++round) {
    FitSums sums;
    add_up<Format>(nearest, columns, n, scale, sums);
    const FloatVector fitted = sums.products / larger_of(smallest, sums.squares);
    scale = fitted > smallest ? fitted : smallest;
  }
  FloatVector high;
  FloatVector low;
  nearest(high, outermost.high / scale);
  nearest(low, outermost.low / scale);
  largest.of_others = larger_of(largest.of_others, larger_of(magnitudes(high), magnitudes(low)) * scale);
  __builtin_memcpy(scales, &scale, count * sizeof(float));
}

/// The fitted scale of each group of a row of `n` weights; returns the largest magnitude that the row's groups give.
template <class Format>
float fit(const float* row, std::size_t n, std::size_t group, float* scales) {
  RowLargest largest;
  const std::size_t groups = n / group;
  for (std::size_t g = 0; g < groups; g += kGroupsTogether) {
    const std::size_t count = smaller(kGroupsTogether, groups - g);
    const float* weights = row + g * group;
    // The usual size is known to the compiler, which then needs no loop over a group.
    if (group == kLanes) {
      fit_groups<Format>(weights, kLanes, count, scales + g, largest);
    } else if (group <= kMostColumns) {
      fit_groups<Format>(weights, group, count, scales + g, largest);
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        scales[g + i] = Format::fit(weights + i * group, static_cast<std::uint32_t>(group), largest.before);
      }
    }
  }
  return largest.of_all();
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
