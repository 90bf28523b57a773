#include "learn/quantized_weight.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "formats/double_quant.hpp"
#include "formats/scale_rules.hpp"
#include "learn/weighted_search.hpp"

namespace halftone::learn {
namespace {

/// The weight as rows of the layout: flat ones are filled up with zeros.
Matrix rows_of_layout(Engine& engine, Memory& memory, const formats::LayerLayout& layout, const Matrix& weight) {
  const std::uint64_t n = layout.rows() * layout.columns();
  if (n == weight.rows * weight.columns) return {weight.data, layout.rows(), layout.columns(), layout.columns()};
  const Matrix whole = memory.matrix(layout.rows(), layout.columns());
  engine.clear(whole.data, n * sizeof(float));
  engine.copy(weight.data, whole.data, weight.rows * weight.columns * sizeof(float));
  return whole;
}

}  // namespace

QuantizedWeight::QuantizedWeight(Engine& engine, const QuantSpec& spec, const formats::LayerLayout& layout, const Matrix& weight)
    : engine_(engine), spec_(spec), layout_(layout), memory_(engine), levels_(levels_of(*spec.format)) {
  const LevelOfCode level_of = level_of_code(*spec.format, levels_);
  tables_ = {memory_.array_of(&levels_, 1), memory_.array_of(&level_of, 1)};
  codes_ = {memory_.array<std::uint8_t>(layout.code_bytes(layout.rows())), layout.code_bytes(1), layout.columns(), layout.elements(),
            formats::scale_rules(*spec.format).packing};
  layer_.weight = weight;
}

void QuantizedWeight::round_to_nearest(float amax, const std::vector<float>& search_weights, unsigned threads) {
  amax_ = amax;
  layer_.levels = nullptr;  // a layer that was made before is that of other codes
  tensor_scale_ = amax > 0.0F ? tensor_scale(*spec_.format, amax) : 1.0F;
  QuantSpec plain = spec_;
  plain.rotation_group = 0;  // the weights are rotated by now
  const bool weighs = !search_weights.empty() && layout_.has_group_scales();
  if (weighs) plain.scales = ScaleMethod::absmax;  // these scales are searched below
  scales_.resize(layout_.scale_bytes(layout_.rows()));
  {
    Memory scratch(engine_);
    std::byte* scales = scratch.array<std::byte>(std::max<std::size_t>(scales_.size(), 1));
    engine_.quantize(plain, rows_of_layout(engine_, scratch, layout_, layer_.weight), amax, codes_.data, scales);
    if (weighs) search_scales(search_weights, threads, scales);
    engine_.download(scales, scales_.data(), scales_.size());
  }
  read_operands();
}

const Layer& QuantizedWeight::layer() {
  if (layer_.levels != nullptr) return layer_;
  layer_.levels = memory_.array<std::uint8_t>(layer_.elements());
  engine_.unpack(codes_, tables_, layer_.levels);
  make_grid();
  layer_.errors = memory_.matrix(layer_.rows(), layer_.columns());
  engine_.errors_of(layer_.levels, layer_.weight, layer_.grid, layer_.errors);
  return layer_;
}

std::uint64_t QuantizedWeight::take(const std::uint8_t* levels) {
  engine_.copy(levels, layer_.levels, layer_.elements());
  engine_.errors_of(layer_.levels, layer_.weight, layer_.grid, layer_.errors);
  return engine_.pack(levels, tables_, codes_);
}

std::uint64_t QuantizedWeight::take_scales(const StoredScales& scales) {
  const StoredScales before = stored_scales();
  std::uint64_t moved = 0;
  for (std::uint64_t i = 0; i < scales.count(); ++i) moved += scales.value(i) == before.value(i) ? 0U : 1U;
  scales_ = scales.bytes();
  amax_ = scales.amax();
  tensor_scale_ = amax_ > 0.0F ? tensor_scale(*spec_.format, amax_) : 1.0F;
  read_operands();
  make_grid();
  return moved;
}

void QuantizedWeight::read_codes(std::uint64_t begin, std::uint64_t n, std::byte* out) { engine_.download(codes_.data + begin, out, n); }

std::span<const std::byte> QuantizedWeight::scales_of(std::uint64_t first, std::uint64_t count) const {
  const std::uint64_t begin = layout_.first_scale(first) * spec_.format->storage().scale_bytes;
  return std::span(scales_).subspan(std::min<std::uint64_t>(begin, scales_.size()), layout_.scale_bytes(count));
}

std::vector<float> QuantizedWeight::outputs(const std::vector<float>& x) {
  const Layer& own = layer();
  Memory scratch(engine_);
  const Matrix vector = scratch.matrix_of(x.data(), x.size(), 1);
  const Matrix product = scratch.matrix(own.rows(), 1);
  engine_.multiply({.a = own.weight, .b = vector, .c = product, .full_precision = true});
  engine_.multiply({.a = own.errors, .b = vector, .beta = 1.0F, .c = product, .full_precision = true});
  std::vector<float> outputs(own.rows());
  engine_.download(product.data, outputs.data(), outputs.size() * sizeof(float));
  return outputs;
}

void QuantizedWeight::search_scales(const std::vector<float>& search_weights, unsigned threads, std::byte* scales) {
  Memory scratch(engine_);
  auto* levels = scratch.array<std::uint8_t>(layer_.elements());
  engine_.search_scales({.spec = spec_,
                         .layout = layout_,
                         .tables = tables_,
                         .weight = layer_.weight.data,
                         .columns = layer_.columns(),
                         .tensor_scale = tensor_scale_,
                         .column_weights = scratch.array_of(search_weights.data(), search_weights.size()),
                         .threads = threads,
                         .scales = scales,
                         .levels = levels});
  std::ignore = engine_.pack(levels, tables_, codes_);
}

/// Where scales are quantized themselves, those that are stored count.
void QuantizedWeight::read_operands() {
  const std::uint32_t width = spec_.format->storage().scale_bytes;
  const auto operand = formats::scale_rules(*spec_.format).operand;
  operands_.resize(layout_.has_group_scales() ? layout_.scale_count(layout_.rows()) : 0);
  if (width == 1) {  // as many scales as a sixteenth of the weights, and 256 values
    std::array<float, 256> values{};
    for (std::uint32_t stored = 0; stored < values.size(); ++stored) values[stored] = operand(stored, tensor_scale_);
    std::transform(scales_.begin(), scales_.begin() + static_cast<std::ptrdiff_t>(operands_.size()), operands_.begin(),
                   [&](std::byte stored) { return values[std::to_integer<std::size_t>(stored)]; });
  } else {
    for (std::uint64_t i = 0; i < operands_.size(); ++i) {
      std::uint32_t stored = 0;
      std::memcpy(&stored, scales_.data() + i * width, width);
      operands_[i] = operand(stored, tensor_scale_);
    }
  }
  if (!spec_.double_quant) return;
  const formats::NestedScales nested = formats::nest(operands_);
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    const float level = formats::dynamic_levels()[nested.codes[i]];
    operands_[i] = formats::nested_scale(level, nested.magnitudes[i / formats::kNestedBlock], nested.offset);
  }
}

void QuantizedWeight::make_grid() {
  const std::uint64_t rows = layer_.rows();
  const std::uint64_t columns = layer_.columns();
  std::vector<std::uint32_t> group_of(columns);
  std::uint64_t groups = 1;
  std::uint64_t width = columns;
  if (!operands_.empty()) {
    width = is_regular() ? layout_.group_columns() : 1;
    groups = base::ceil_div(columns, width);
    for (std::uint64_t i = 0; i < columns; ++i) group_of[i] = static_cast<std::uint32_t>(i / width);
  }
  std::vector<float> scales(rows * groups, tensor_scale_);
  const bool is_flat = spec_.format->storage().flat;
  for (std::uint64_t row = 0; row < rows && !operands_.empty(); ++row) {
    if (is_flat) {
      for (std::uint64_t g = 0; g < groups; ++g) scales[row * groups + g] = flat_scale_at(row, g * width);
    } else {
      std::copy_n(operands_.begin() + static_cast<std::ptrdiff_t>(layout_.first_scale(row)), groups, &scales[row * groups]);
    }
  }
  layer_.grid = {tables_.levels, memory_.array_of(scales.data(), scales.size()), groups, memory_.array_of(group_of.data(), columns)};
}

float QuantizedWeight::flat_scale_at(std::uint64_t row, std::uint64_t column) const {
  return operands_[(row * layer_.columns() + column) / layout_.columns()];
}

/// Whether every group lies within a row of the weight and begins in the same columns of each.
bool QuantizedWeight::is_regular() const { return !spec_.format->storage().flat || layer_.columns() % layout_.columns() == 0; }

}  // namespace halftone::learn
