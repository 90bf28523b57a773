#include "verify/zero_groups.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace halftone::verify {
namespace {

bool is_zero(const float* values, std::uint64_t n) {
  return std::all_of(values, values + n, [](float value) { return value == 0.0F; });
}

/// Elements, in the order of the weight, that share a scale; columns of a square block.
std::uint64_t group_width(const QuantSpec& spec, formats::Extent extent) {
  const formats::LayerLayout layout(spec, extent.rows, extent.columns);
  const bool whole = spec.format->grid() == ScaleGrid::tensor || spec.format->grid() == ScaleGrid::none;
  return whole ? extent.rows * extent.columns : layout.group_columns();
}

}  // namespace

ZeroGroups::ZeroGroups(const QuantSpec& spec, formats::Extent extent)
    : grid_(spec.format->grid()),
      columns_(extent.columns),
      width_(group_width(spec, extent)),
      restarts_(!spec.format->storage().flat && (grid_ == ScaleGrid::row || grid_ == ScaleGrid::run)) {}

void ZeroGroups::add(const float* values, std::uint64_t rows) {
  if (grid_ == ScaleGrid::block) return add_blocks(values, rows);
  if (!restarts_) return add_run(values, rows * columns_);
  for (std::uint64_t row = 0; row < rows; ++row) {
    add_run(values + row * columns_, columns_);
    close_group();
  }
}

void ZeroGroups::add_run(const float* values, std::uint64_t n) {
  while (n > 0) {
    const std::uint64_t part = std::min(n, width_ - filled_);
    all_zero_ = all_zero_ && is_zero(values, part);
    filled_ += part;
    values += part;
    n -= part;
    if (filled_ == width_) close_group();
  }
}

void ZeroGroups::add_blocks(const float* values, std::uint64_t rows) {
  for (std::uint64_t top = 0; top < rows; top += width_) {
    for (std::uint64_t left = 0; left < columns_; left += width_) {
      for (std::uint64_t row = top; row < std::min(top + width_, rows) && all_zero_; ++row) {
        all_zero_ = is_zero(values + row * columns_ + left, std::min(width_, columns_ - left));
      }
      filled_ = width_;
      close_group();
    }
  }
}

void ZeroGroups::close_group() {
  if (filled_ == 0) return;
  ++groups_;
  if (all_zero_) ++zero_groups_;
  filled_ = 0;
  all_zero_ = true;
}

void ZeroGroups::report(const std::string& layer, Findings& findings) {
  close_group();
  if (zero_groups_ == 0) return;
  findings.note(layer, zero_groups_ == groups_
                           ? std::string("holds only zeros")
                           : fmt::format("{} of its {} groups that share a scale hold only zeros", zero_groups_, groups_));
}

}  // namespace halftone::verify
