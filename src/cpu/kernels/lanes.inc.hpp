// Part of kernels.inc.hpp; no include guard.
//
// The 16 lanes of sums as vectors: what the compiler would not make of loops over them.

constexpr std::size_t kLanes = 16;
#if defined(__AVX512F__)
constexpr std::size_t kRegisterBytes = 64;
#elif defined(__AVX2__)
constexpr std::size_t kRegisterBytes = 32;
#else
constexpr std::size_t kRegisterBytes = 16;
#endif
using FloatVector = float __attribute__((vector_size(kRegisterBytes)));
using WordVector = std::uint32_t __attribute__((vector_size(kRegisterBytes)));
using IntegerVector = std::int32_t __attribute__((vector_size(kRegisterBytes)));

/// 16 numbers, in as many registers as they take.
template <class Vector>
struct Lanes {
  static constexpr std::size_t kParts = kLanes * 4 / kRegisterBytes;
  Vector parts[kParts];
};
using FloatLanes = Lanes<FloatVector>;

/// What `make` gives of each register of some lanes.
template <class Result, class Make, class... Vectors>
HALFTONE_HD Lanes<Result> each(const Make& make, const Lanes<Vectors>&... of) {
  Lanes<Result> made;
#pragma GCC unroll 4
  for (std::size_t p = 0; p < Lanes<Result>::kParts; ++p) make(made.parts[p], of.parts[p]...);
  return made;
}

/// 16 numbers, register by register: what is copied in smaller pieces would have to reach the cache before it is loaded.
HALFTONE_HD FloatLanes load_all_lanes(const float* from) {
  using Unaligned = FloatVector __attribute__((aligned(alignof(float)), may_alias));
  FloatLanes lanes;
#pragma GCC unroll 4
  for (std::size_t p = 0; p < FloatLanes::kParts; ++p) {
    lanes.parts[p] = *reinterpret_cast<const Unaligned*>(from + p * (kRegisterBytes / sizeof(float)));
  }
  return lanes;
}

/// Up to 16 numbers, and zeros behind them.
HALFTONE_HD FloatLanes load_lanes(const float* from, std::size_t n) {
  if (n >= kLanes) return load_all_lanes(from);
  float some[kLanes] = {};
  for (std::size_t l = 0; l < n; ++l) some[l] = from[l];
  return load_all_lanes(some);
}

/// Of 16 numbers the combination by halves: of the first and the second eight, then fours, and so on.
template <class Combine>
HALFTONE_HD float by_halves(const FloatLanes& lanes, const Combine& combine) {
  using Four = float __attribute__((vector_size(16)));
  Four parts[4];
  __builtin_memcpy(parts, &lanes, sizeof parts);
  Four low;
  Four high;
  Four four;
  combine(low, parts[0], parts[2]);
  combine(high, parts[1], parts[3]);
  combine(four, low, high);
  const Four swapped = {four[2], four[3], four[0], four[1]};
  combine(four, four, swapped);
  float both;
  combine(both, four[0], four[1]);
  return both;
}

// Vectors are handed over by reference: how functions pass them depends on the instruction set.
struct Add {
  template <class T>
  HALFTONE_HD void operator()(T& made, const T& a, const T& b) const {
    made = a + b;
  }
};
/// Of numbers of at least 0: compared as integers, so that NaN is the largest.
struct Larger {
  HALFTONE_HD void operator()(float& made, const float& a, const float& b) const { made = codec::bits(a) > codec::bits(b) ? a : b; }
  template <class Vector>
  HALFTONE_HD void operator()(Vector& made, const Vector& a, const Vector& b) const {
    using Integers = decltype(a > b);
    const auto of_a = (Integers)a;
    const auto of_b = (Integers)b;
    made = (Vector)(of_a > of_b ? of_a : of_b);
  }
};

/// The sum of 16 numbers by halves.
HALFTONE_HD float sum_of_lanes(const float* numbers) { return by_halves(load_lanes(numbers, kLanes), Add{}); }

/// Numbers in one register.
constexpr std::size_t kRegisterLanes = kRegisterBytes / sizeof(float);

/// Up to a register of numbers, and zeros behind them.
HALFTONE_HD FloatVector load_register(const float* from, std::size_t n) {
  FloatVector numbers{};
  if (n >= kRegisterLanes) {
    __builtin_memcpy(&numbers, from, sizeof numbers);
  } else {
    for (std::size_t l = 0; l < n; ++l) numbers[l] = from[l];
  }
  return numbers;
}

/// The larger of numbers of at least 0, lane by lane.
HALFTONE_HD FloatVector larger_of(const FloatVector& a, const FloatVector& b) {
  FloatVector larger;
  Larger{}(larger, a, b);
  return larger;
}
/// The largest of a register of numbers of at least 0.
HALFTONE_HD float largest_in(const FloatVector& numbers) {
  float largest = numbers[0];
  for (std::size_t l = 1; l < kRegisterLanes; ++l) Larger{}(largest, largest, float{numbers[l]});
  return largest;
}
HALFTONE_HD FloatVector magnitudes(const FloatVector& of) { return (FloatVector)((WordVector)of & codec::kMagnitudeMask); }

/// Exchanges, of each two rows `Step` apart, the lanes with bit Step of the first for those without of the second.
template <std::size_t Step, std::size_t... L>
HALFTONE_HD void exchange_lanes(FloatVector* rows, std::index_sequence<L...>) {
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kRegisterLanes; ++r) {
    if ((r & Step) != 0) continue;
    const FloatVector a = rows[r];
    const FloatVector b = rows[r + Step];
    rows[r] = __builtin_shufflevector(a, b, ((L & Step) != 0 ? kRegisterLanes + L - Step : L)...);
    rows[r + Step] = __builtin_shufflevector(a, b, ((L & Step) != 0 ? kRegisterLanes + L : L + Step)...);
  }
}

/// Turns as many rows as a register has lanes into columns.
template <std::size_t Step = kRegisterLanes / 2>
HALFTONE_HD void transpose(FloatVector* rows) {
  exchange_lanes<Step>(rows, std::make_index_sequence<kRegisterLanes>{});
  if constexpr (Step > 1) transpose<Step / 2>(rows);
}

/// 16 numbers that any lane may ask for.
class LaneTable {
 public:
  explicit HALFTONE_HD LaneTable(const FloatLanes& numbers) : numbers_(numbers) {}

  /// Number `index` for each lane; the upper bits of an index do not count.
  HALFTONE_HD FloatVector operator[](const WordVector& index) const {
#if defined(__AVX512F__)
    // The form without a mask has an uninitialised operand, which GCC warns of.
    return (FloatVector)_mm512_maskz_permutexvar_ps(0xFFFF, (__m512i)index, (__m512)numbers_.parts[0]);
#elif defined(__AVX2__)
    const __m256 low = _mm256_permutevar8x32_ps((__m256)numbers_.parts[0], (__m256i)index);
    const __m256 high = _mm256_permutevar8x32_ps((__m256)numbers_.parts[1], (__m256i)index);
    return (FloatVector)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32((__m256i)index, 28)));
#else
    float all[kLanes];
    __builtin_memcpy(all, &numbers_, sizeof all);
    FloatVector found;
    for (std::size_t l = 0; l < sizeof found / sizeof(float); ++l) found[l] = all[index[l] & (kLanes - 1)];
    return found;
#endif
  }

  /// The same for indices that are all below 8, and for indices from 8 to 15: less work where a register has 8 lanes.
  HALFTONE_HD FloatVector in_first_half(const WordVector& index) const { return in_half<0>(index); }
  HALFTONE_HD FloatVector in_second_half(const WordVector& index) const { return in_half<1>(index); }

 private:
  template <std::size_t Half>
  HALFTONE_HD FloatVector in_half(const WordVector& index) const {
#if defined(__AVX2__) && !defined(__AVX512F__)
    return (FloatVector)_mm256_permutevar8x32_ps((__m256)numbers_.parts[Half], (__m256i)index);
#else
    return (*this)[index];
#endif
  }

  FloatLanes numbers_;
};
