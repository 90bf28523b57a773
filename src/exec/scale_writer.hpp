#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "exec/work.hpp"
#include "formats/layer_layout.hpp"

namespace halftone::exec {

/// Puts the scales of bands into the output, in the order in which the format stores them.
class ScaleWriter {
 public:
  /// `output`: the tensor of the scales, or nothing where groups have none.
  /// `of_rows`: that of the scales of rows, or nothing where rows have none.
  ScaleWriter(const Context& context, const formats::LayerLayout& layout, std::optional<std::uint32_t> output,
              std::optional<std::uint32_t> of_rows = {})
      : context_(context), layout_(layout), output_(output), of_rows_(of_rows) {}

  /// Room for the scales of `rows` rows, row by row.
  [[nodiscard]] std::vector<std::byte> room(std::uint64_t rows) const { return std::vector<std::byte>(layout_.scale_bytes(rows)); }
  /// Writes the `scales` of the band that begins at row `first`; returns the bytes written.
  std::uint64_t write(std::uint64_t first, std::span<const std::byte> scales) const;

 private:
  [[nodiscard]] std::uint64_t write_apart(std::uint64_t first, std::span<const std::byte> scales) const;

  const Context& context_;
  const formats::LayerLayout& layout_;
  std::optional<std::uint32_t> output_;
  std::optional<std::uint32_t> of_rows_;
};

}  // namespace halftone::exec
