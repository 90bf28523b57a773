// Part of kernels.inc.hpp; no include guard.
//
// What a search for scales compares.

/// Squared errors that are added before the sum goes on in binary64: part of what decides bytes
/// (KernelTable::squared_error).
constexpr std::size_t kSumElements = 512;

/// The operand of each of `n` elements.
template <std::size_t Run>
HALFTONE_HD void spread(const float* of_groups, std::size_t n, float* __restrict of_elements) {
  for (std::size_t g = 0; g * Run < n; ++g) {
    const float operand = of_groups[g];
    const std::size_t end = smaller((g + 1) * Run, n);
    for (std::size_t i = g * Run; i < end; ++i) of_elements[i] = operand;
  }
}

/// The squared errors of weights in runs of `Run` with a scale each; the last may be shorter.  One step
/// at a time: the compiler vectorises short loops over words of one size.
template <class Format, std::size_t Run>
HALFTONE_HD void squared_errors_of(const float* __restrict weights, std::size_t n, const float* encodes, const float* decodes,
                                   float* __restrict errors) {
  if constexpr (requires { Format::nearest(1.0F, 1.0F, 1.0F); }) {
    const auto error = [](float weight, float encode, float decode) {
      const float magnitude = codec::magnitude(weight);
      const float difference = Format::nearest(magnitude, encode, decode) - magnitude;
      return difference * difference;
    };
    for (std::size_t g = 0; g < n / Run; ++g) {
      for (std::size_t i = g * Run; i < (g + 1) * Run; ++i) errors[i] = error(weights[i], encodes[g], decodes[g]);
    }
    for (std::size_t i = n / Run * Run; i < n; ++i) errors[i] = error(weights[i], encodes[i / Run], decodes[i / Run]);
    return;
  }
  alignas(64) float operands[kSumElements];
  alignas(64) std::uint32_t words[kSumElements];
  if constexpr (formats::RowScaled<Format>) {
    for (std::size_t first = 0; first < n; first += Run) {
      encode_lanes<Format>(weights + first, smaller(Run, n - first), encodes[first / Run], words + first);
    }
  } else {
    spread<Run>(encodes, n, operands);
    for (std::size_t i = 0; i < n; ++i) words[i] = Format::encode(weights[i], operands[i]);
  }
  spread<Run>(decodes, n, operands);
  for (std::size_t i = 0; i < n; ++i) errors[i] = Format::decode(static_cast<std::uint8_t>(words[i]), operands[i]);
  for (std::size_t i = 0; i < n; ++i) errors[i] = (errors[i] - weights[i]) * (errors[i] - weights[i]);
}

/// The same of elements of a source.
template <class Format, class Source, std::size_t Run>
HALFTONE_HD void squared_errors(const std::byte* __restrict source, std::size_t n, const float* encodes, const float* decodes,
                                float* __restrict errors) {
  alignas(64) float weights[kSumElements];
  for (std::size_t i = 0; i < n; ++i) weights[i] = Source::decode(load<typename Source::Raw>(source, i));
  squared_errors_of<Format, Run>(weights, n, encodes, decodes, errors);
}

/// The sum of up to kSumElements numbers behind which there is room for kLanes more.
HALFTONE_HD float sum_of_chunk(float* numbers, std::size_t n) {
  for (std::size_t i = n; i % kLanes != 0; ++i) numbers[i] = 0.0F;
  alignas(64) float lanes[kLanes] = {};
  for (std::size_t i = 0; i < n; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) lanes[l] += numbers[i + l];
  }
  return sum_of_lanes(lanes);
}

/// Runs that divide kSumElements, several to a chunk.
template <class Format, class Source, std::size_t Run>
HALFTONE_HD void squared_error_of_runs(const std::byte* source, std::size_t n, const float* encodes, const float* decodes, double* sums) {
  alignas(64) float errors[kSumElements + kLanes];
  for (std::size_t done = 0; done < n; done += kSumElements) {
    const std::size_t count = smaller(kSumElements, n - done);
    const std::size_t first = done / Run;
    squared_errors<Format, Source, Run>(source + done * sizeof(typename Source::Raw), count, encodes + first, decodes + first, errors);
    for (std::size_t i = 0; i < count; i += Run) sums[first + i / Run] += sum_of_chunk(errors + i, smaller(Run, count - i));
  }
}

template <class Format, class Source>
void squared_error(const std::byte* source, std::size_t n, std::size_t group, const float* encodes, const float* decodes, double* sums) {
  if constexpr (formats::kRunOf<Format> != 0) {
    squared_error_of_runs<Format, Source, Format::kRun>(source, n, encodes, decodes, sums);
  } else {
    if (group == 64) return squared_error_of_runs<Format, Source, 64>(source, n, encodes, decodes, sums);
    if (group == 128) return squared_error_of_runs<Format, Source, 128>(source, n, encodes, decodes, sums);
    alignas(64) float errors[kSumElements + kLanes];
    for (std::size_t first = 0, g = 0; first < n; first += group, ++g) {
      const std::size_t end = smaller(first + group, n);
      for (std::size_t i = first; i < end; i += kSumElements) {
        const std::size_t count = smaller(kSumElements, end - i);
        squared_errors<Format, Source, kSumElements>(source + i * sizeof(typename Source::Raw), count, encodes + g, decodes + g, errors);
        sums[g] += sum_of_chunk(errors, count);
      }
    }
  }
}
