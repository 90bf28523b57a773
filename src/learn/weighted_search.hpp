#pragma once

#include <cstdint>
#include <vector>

#include "formats/layer_layout.hpp"
#include "learn/levels.hpp"

namespace halftone::learn {

/// A weight in the memory of the host whose groups choose their scales by weighted squared errors.
struct WeightedSearch {
  const QuantSpec& spec;
  const formats::LayerLayout& layout;
  const Levels& levels;
  const float* weight = nullptr;  ///< rows × columns
  std::uint64_t columns = 0;
  float tensor_scale = 1;
  const std::vector<float>& column_weights;  ///< what a squared error counts, by the column
};

/// Writes for each group, of the scales that its format may choose from, that of the least error to `scales`, as backends
/// give them, and the codes of its elements to `codes`, one for each element.  Of equal errors the first candidate's.
/// Works on up to `threads` threads, which change nothing.
void search_weighted(const WeightedSearch& search, unsigned threads, std::byte* scales, std::uint8_t* codes);

}  // namespace halftone::learn
