// Part of kernels.inc.hpp; no include guard.
//
// Largest magnitudes.

/// Magnitudes of a source in words that order like them: its own bits where it has 16, else those of binary32.
template <class Source, bool Half = sizeof(typename Source::Raw) == 2>
struct Magnitudes {
  using Word = std::uint32_t;
  static HALFTONE_HD Word load_one(const std::byte* from, std::size_t i) {
    return codec::bits(Source::decode(load<typename Source::Raw>(from, i))) & codec::kMagnitudeMask;
  }
  static HALFTONE_HD std::uint32_t bits(Word word) { return word; }
};
template <class Source>
struct Magnitudes<Source, true> {
  using Word = std::uint16_t;
  static HALFTONE_HD Word load_one(const std::byte* from, std::size_t i) {
    return static_cast<Word>(load<std::uint16_t>(from, i) & 0x7FFFU);
  }
  static HALFTONE_HD std::uint32_t bits(Word word) { return codec::bits(Source::decode(word)); }
};

template <class Source>
HALFTONE_HD void raise_to_max(const std::byte* run, std::size_t n, std::uint32_t& largest) {
  using Of = Magnitudes<Source>;
  typename Of::Word word = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto one = Of::load_one(run, i);
    word = one > word ? one : word;
  }
  const std::uint32_t found = Of::bits(word);
  largest = found > largest ? found : largest;
}

/// Groups of a size that is known to the compiler, which then needs no loop over a group.
template <class Source, std::size_t Group>
HALFTONE_HD std::size_t max_of_whole_groups(const std::byte* source, std::size_t n, std::uint32_t* largest) {
  const std::size_t whole = n / Group;
  for (std::size_t g = 0; g < whole; ++g) raise_to_max<Source>(source + g * Group * sizeof(typename Source::Raw), Group, largest[g]);
  return whole;
}

template <class Source>
HALFTONE_HD void max_of_row(const std::byte* source, std::size_t n, std::size_t group, std::uint32_t* largest) {
  std::size_t done = 0;
  if (group == 16) done = max_of_whole_groups<Source, 16>(source, n, largest);
  if (group == 32) done = max_of_whole_groups<Source, 32>(source, n, largest);
  if (group == 64) done = max_of_whole_groups<Source, 64>(source, n, largest);
  if (group == 128) done = max_of_whole_groups<Source, 128>(source, n, largest);
  for (std::size_t first = done * group, g = done; first < n; first += group, ++g) {
    raise_to_max<Source>(source + first * sizeof(typename Source::Raw), smaller(group, n - first), largest[g]);
  }
}

/// Columns whose maxima are found together: a strip of blocks has fewer.
constexpr std::size_t kMaximaElements = 2048;

/// Several rows: the largest of each column first, so that only one row of them is cut into groups.
template <class Source>
HALFTONE_HD void max_of_columns(const std::byte* source, std::size_t stride, std::size_t rows, std::size_t n, std::size_t group,
                                std::uint32_t* largest) {
  using Of = Magnitudes<Source>;
  alignas(64) typename Of::Word words[kMaximaElements];
  for (std::size_t done = 0; done < n; done += kMaximaElements) {
    const std::size_t count = smaller(kMaximaElements, n - done);
    for (std::size_t i = 0; i < count; ++i) words[i] = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      const std::byte* __restrict from = source + r * stride + done * sizeof(typename Source::Raw);
      for (std::size_t i = 0; i < count; ++i) {
        const auto one = Of::load_one(from, i);
        words[i] = one > words[i] ? one : words[i];
      }
    }
    for (std::size_t i = 0; i < count;) {
      const std::size_t g = (done + i) / group;
      for (const std::size_t end = smaller(count, (g + 1) * group - done); i < end; ++i) {
        const std::uint32_t found = Of::bits(words[i]);
        largest[g] = found > largest[g] ? found : largest[g];
      }
    }
  }
}

template <class Source>
void max_magnitude(const std::byte* source, std::size_t stride, std::size_t rows, std::size_t n, std::size_t group,
                   std::uint32_t* largest) {
  if (rows == 1) return max_of_row<Source>(source, n, group, largest);
  max_of_columns<Source>(source, stride, rows, n, group, largest);
}
