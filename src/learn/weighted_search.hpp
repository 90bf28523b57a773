#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/layer_layout.hpp"
#include "learn/engine.hpp"

namespace halftone::learn {

/// A weight whose groups choose, of the scales that its format may choose from, that of the least weighted squared error, of
/// equal errors the first candidate's.  The error of a group is the sum of (column weight * error) * error in binary64, of its
/// elements row by row; errors are binary32.  All pointers are into the memory of an engine.
struct WeightedSearch {
  const QuantSpec& spec;
  const formats::LayerLayout& layout;
  CodeTables tables;
  const float* weight = nullptr;  ///< rows × columns
  std::uint64_t columns = 0;
  float tensor_scale = 1;
  const float* column_weights = nullptr;  ///< what a squared error counts, by the column
  unsigned threads = 1;                   ///< that a host may use; they change nothing
  std::byte* scales = nullptr;            ///< as backends give them; those of padding stay
  std::uint8_t* levels = nullptr;         ///< one for each element
};

/// Engine::search_scales() of a host.
void search_weighted(const WeightedSearch& search);

}  // namespace halftone::learn
