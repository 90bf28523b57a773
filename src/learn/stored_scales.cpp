#include "learn/stored_scales.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/scale_rules.hpp"

namespace halftone::learn {
StoredScales::StoredScales(const QuantSpec& spec, const formats::LayerLayout& layout, std::uint64_t columns, std::vector<std::byte> scales,
                           float amax)
    : spec_(&spec), layout_(&layout), columns_(columns), scales_(std::move(scales)), amax_(amax) {
  const FormatDescriptor& format = *spec.format;
  const float tensor = amax > 0.0F ? tensor_scale(format, amax) : 1.0F;
  if (!layout.has_group_scales()) {
    values_ = {tensor};
    return;
  }
  const std::uint32_t width = format.storage().scale_bytes;
  values_.resize(layout.scale_count(layout.rows()));
  for (std::uint64_t i = 0; i < values_.size(); ++i) {
    std::uint32_t stored = 0;
    std::memcpy(&stored, scales_.data() + i * width, width);
    values_[i] = formats::scale_rules(format).operand(stored, tensor);
  }
  if (width != 1) return;
  choices_ = formats::scale_choices(format, tensor);
  for (std::size_t i = 0; i < choices_.size(); ++i) place_of_[choices_[i].stored] = i;
}

std::uint64_t StoredScales::index_of(std::uint64_t row, std::uint64_t column) const {
  if (!layout_->has_group_scales()) return 0;
  if (spec_->format->storage().flat) return (row * columns_ + column) / layout_->columns();
  return layout_->first_scale(row) + column / layout_->group_columns();
}

void StoredScales::move(std::uint64_t index, float wanted) {
  if (!(values_[index] > 0.0F) || !(wanted > 0.0F) || !std::isfinite(wanted)) return;
  if (layout_->has_group_scales()) {
    move_of_groups(index, wanted);
  } else {
    move_of_whole(wanted);
  }
}

void StoredScales::move_of_groups(std::uint64_t index, float wanted) {
  if (choices_.empty()) {
    values_[index] = wanted;
    std::memcpy(scales_.data() + index * sizeof wanted, &wanted, sizeof wanted);
    return;
  }
  // Steps are short, so that the nearest choice is not far.
  std::size_t at = place_of_[std::to_integer<std::uint8_t>(scales_[index])];
  const auto distance = [&](std::size_t choice) { return std::fabs(choices_[choice].value - wanted); };
  while (at + 1 < choices_.size() && distance(at + 1) < distance(at)) ++at;
  while (at > 0 && distance(at - 1) < distance(at)) --at;
  values_[index] = choices_[at].value;
  scales_[index] = static_cast<std::byte>(choices_[at].stored);
}

/// The scale of a whole weight is that of a largest magnitude, so that one for it is taken.
void StoredScales::move_of_whole(float wanted) {
  amax_ *= wanted / values_[0];
  values_[0] = tensor_scale(*spec_->format, amax_);
}

}  // namespace halftone::learn
