// Part of kernels.inc.hpp; no include guard.
//
// The scales of least squared error for runs: every candidate is tried on a few runs while their weights are at hand.

/// Scales of the runs of a chunk, as encode() and decode() take them and as they are stored.
template <class Format>
struct RunScales {
  static constexpr std::size_t kRuns = kSumElements / Format::kRun;
  alignas(64) float encodes[kRuns];
  alignas(64) float decodes[kRuns];
  alignas(64) std::uint32_t stored[kRuns];
};

/// Candidate `i` of `n` runs.
template <class Format>
HALFTONE_HD void candidates_of(const float* __restrict amax, std::size_t n, float tensor, int i, RunScales<Format>& scales) {
  for (std::size_t g = 0; g < n; ++g) {
    const auto scale = formats::candidate_scale<Format>(amax[g], tensor, i);
    scales.encodes[g] = scale.encode;
    scales.decodes[g] = formats::decode_operand<Format>(scale.stored, tensor);
    scales.stored[g] = scale.stored;
  }
}

/// The best scales of up to kSumElements weights; `amax`: the largest magnitudes of their runs.
template <class Format>
HALFTONE_HD void search_chunk(const float* weights, std::size_t n, const float* amax, float tensor, formats::AnyScale* best) {
  constexpr std::size_t run = Format::kRun;
  alignas(64) float errors[kSumElements + kLanes];
  float least[RunScales<Format>::kRuns];
  RunScales<Format> scales;
  const std::size_t runs = (n + run - 1) / run;
  for (int i = 0; i < Format::kCandidates; ++i) {
    candidates_of<Format>(amax, runs, tensor, i, scales);
    squared_errors_of<Format, run>(weights, n, scales.encodes, scales.decodes, errors);
    for (std::size_t j = n; j < runs * run; ++j) errors[j] = 0.0F;
    for (std::size_t g = 0; g < runs; ++g) {
      const float error = run == kLanes ? sum_of_lanes(errors + g * run) : sum_of_chunk(errors + g * run, run);
      if (i != 0 && !(error < least[g])) continue;
      least[g] = error;
      best[g] = {scales.encodes[g], scales.stored[g]};
    }
  }
}

template <class Format, class Source>
void search(const std::byte* source, std::size_t n, const std::uint32_t* largest, float tensor, formats::AnyScale* scales) {
  constexpr std::size_t run = Format::kRun;
  alignas(64) float weights[kSumElements];
  alignas(64) float amax[RunScales<Format>::kRuns];
  for (std::size_t done = 0; done < n; done += kSumElements) {
    const std::size_t count = smaller(kSumElements, n - done);
    const std::size_t first = done / run;
    for (std::size_t i = 0; i < count; ++i) weights[i] = Source::decode(load<typename Source::Raw>(source, done + i));
    for (std::size_t g = 0; g * run < count; ++g) amax[g] = codec::from_bits(largest[first + g]);
    search_chunk<Format>(weights, count, amax, tensor, scales + first);
  }
}

/// The search of a format that has one.
template <class Format, class Source>
constexpr auto kSearchOf = []() -> KernelTable::Search {
  if constexpr (formats::kRunOf<Format> != 0 && formats::kCandidatesOf < Format >> 1) {
    return search<Format, Source>;
  } else {
    return nullptr;
  }
}();
