#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/plan.hpp>

#include "base/checked.hpp"
#include "formats/layer_layout.hpp"
#include "formats/quant_spec.hpp"

namespace halftone::test {

/// A spec of `format` with its default options.
inline QuantSpec default_spec(const FormatDescriptor& format) { return formats::complete_spec({.format = &format}, {}); }

/// Layers whose shape the format does not take keep their precision.
inline void keep_unfit_layers(PlanOptions& options) {
  const FormatFacts& facts = options.spec.format->facts();
  if (!facts.block_sizes.empty() || !facts.rotation_groups.empty()) options.indivisible = Indivisible::keep;
}

/// Columns that a band of the format may have, near the wanted ones.
inline std::uint64_t fit_columns(const QuantSpec& spec, std::uint64_t wanted) {
  if (spec.format->storage().flat) return spec.block_size;
  std::uint64_t step = std::max(spec.rotation_group, 1U);
  step = std::lcm(step, spec.format->facts().column_multiple);
  step = std::lcm(step, std::max(spec.group_size, 1U));
  if (spec.format->grid() == ScaleGrid::block) step = std::lcm(step, spec.block_size);
  return base::round_up(wanted, step);
}

inline std::uint64_t fit_rows(const QuantSpec& spec, std::uint64_t wanted) {
  return spec.format->grid() == ScaleGrid::block ? base::round_up(wanted, spec.block_size) : wanted;
}

/// Room for the codes and scales of a band.
struct BandBuffers {
  BandBuffers(const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns, std::byte fill = std::byte{0})
      : layout(spec, rows, columns), codes(layout.code_bytes(rows), fill), scales(layout.scale_bytes(rows), fill) {}

  formats::LayerLayout layout;
  std::vector<std::byte> codes;
  std::vector<std::byte> scales;
};

}  // namespace halftone::test
