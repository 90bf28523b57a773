#include "verify/layer_reading.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "eval/error_figures.hpp"
#include "eval/original_weight.hpp"
#include "eval/row_bands.hpp"
#include "eval/yardstick.hpp"
#include "verify/zero_groups.hpp"

namespace halftone::verify {
namespace {

using formats::Extent;
using formats::QuantizedLayer;

/// An error this far below the weight is exact for every purpose: it is no format's, only a scale's last bits.
constexpr double kExact = 1e-9;

/// The weight of the original that `layer` stands for, or null with a finding.  Where nothing in the file says how
/// far a layer was filled up, the original does.
const ModelTensor* original_of(const Sources& sources, QuantizedLayer& layer, Findings& findings) {
  const ModelTensor* original = sources.original->files().index().find(layer.weight->info.name);
  if (original == nullptr) {
    findings.problem(layer.base, "the original has no such weight");
    return nullptr;
  }
  if (!sources.original->is_readable(*original)) {
    findings.problem(layer.base,
                     fmt::format("the original's weight is of {} and holds no numbers to compare with", name_of(original->info.dtype)));
    return nullptr;
  }
  const Shape shape = sources.original->shape_of(*original);
  eval::take_original_shape(layer, shape);
  const Shape& stored = layer.readable->shape;
  if (shape == stored) return original;
  findings.problem(layer.base, fmt::format("is a weight of {}, and the original's is {}", to_string(stored), to_string(shape)));
  return nullptr;
}

/// The squared error that learned rounding explains; nothing where the layer's codes were not learned.
std::optional<double> learned_noise(const Sources& sources, const QuantizedLayer& layer, double signal) {
  const auto found = sources.learned.find(layer.base);
  if (found == sources.learned.end()) return std::nullopt;
  return found->second.most(signal);
}

void judge(const Sources& sources, const LayerError& error, const QuantizedLayer& layer, Findings& findings) {
  const ErrorFigures& figures = error.figures;
  if (!std::isfinite(figures.signal)) return findings.problem(layer.base, "the original's weight holds NaN or infinity");
  const std::optional<double> learned = learned_noise(sources, layer, figures.signal);
  const double explained = std::max(error.expected.noise, learned.value_or(0));
  const double allowed = std::max(explained * std::pow(10, sources.tolerance_db / 10), figures.signal * kExact);
  if (figures.noise <= allowed) return;
  std::string given = fmt::format("{} gives {:.2f} dB on this weight", layer.readable->spec.format->name(), error.expected.sqnr_db());
  if (learned) given += fmt::format(", what was learned at least {:.2f} dB", 10 * std::log10(figures.signal / *learned));
  findings.problem(layer.base, fmt::format("its error against the original is {:.2f} dB, and {} (at most {} dB less pass)",
                                           figures.sqnr_db(), given, sources.tolerance_db));
}

LayerError measure(const Sources& sources, const QuantizedLayer& layer, const ModelTensor& original, ZeroGroups& zeros) {
  const formats::StoredMatrix stored = eval::stored_matrix(sources.files, layer);
  const Extent extent{stored.rows(), stored.columns()};
  QuantSpec spec = layer.readable->spec;
  spec.scales = ScaleMethod::absmax;
  const std::uint32_t largest =
      eval::Yardstick::needs_amax(spec) ? eval::largest_magnitude(*sources.original, original, sources.backend, sources.stop) : 0;
  eval::Yardstick yardstick(sources.backend, spec, extent.columns, codec::from_bits(largest));
  const std::uint64_t multiple =
      std::lcm(std::lcm(stored.row_multiple(), sources.original->row_multiple(original)), yardstick.row_multiple());
  LayerError error;
  std::vector<float> weight;
  std::vector<float> values;
  eval::for_each_band(sources.stop, extent, multiple, [&](std::uint64_t first, std::uint64_t count) {
    const std::uint64_t n = count * extent.columns;
    weight.resize(n);
    values.resize(n);
    sources.original->read(original, first, count, weight.data());
    stored.read(sources.backend, first, count, values.data());
    zeros.add(values.data(), count);
    eval::accumulate(error.figures, weight.data(), values.data(), n);
    yardstick.restore(weight.data(), count, values.data());
    eval::accumulate(error.expected, weight.data(), values.data(), n);
  });
  return error;
}

}  // namespace

std::optional<LayerError> read_layer(const Sources& sources, QuantizedLayer layer, Findings& findings) {
  const ModelTensor* original = sources.original == nullptr ? nullptr : original_of(sources, layer, findings);
  const formats::StoredMatrix stored = eval::stored_matrix(sources.files, layer);
  const Extent extent{stored.rows(), stored.columns()};
  if (extent.rows == 0 || extent.columns == 0) return std::nullopt;
  ZeroGroups zeros(layer.readable->spec, extent);
  std::optional<LayerError> error;
  if (original != nullptr) {
    error = measure(sources, layer, *original, zeros);
    judge(sources, *error, layer, findings);
  } else {
    std::vector<float> values;
    eval::for_each_band(sources.stop, extent, stored.row_multiple(), [&](std::uint64_t first, std::uint64_t count) {
      values.resize(count * extent.columns);
      stored.read(sources.backend, first, count, values.data());
      zeros.add(values.data(), count);
    });
  }
  zeros.report(layer.base, findings);
  return error;
}

}  // namespace halftone::verify
