#include "allocate/alternatives.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "allocate/layer_errors.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"
#include "formats/quant_spec.hpp"

namespace halftone::allocate {
namespace {

/// A gain below this is not worth another conversion.
constexpr double kWorthwhileDb = 0.3;
/// Another format is named where it halves the error at least.
constexpr double kHalvedDb = 6.0;
/// A format whose error is as large as this is no use to a layer.
constexpr double kPoorDb = 15.0;
/// More clipped weights than this are named as the cause.
constexpr double kMuchClipped = 1e-3;

bool is_offered(const FormatDescriptor& format) { return !format.facts().needs_custom_node && format.grid() != ScaleGrid::none; }

/// The specs that are tried for a layer: its own format with searched scales, and the others plainly.
std::vector<QuantSpec> specs_for(const TensorInfo& weight, const std::string& own) {
  std::vector<QuantSpec> specs;
  for (const FormatDescriptor* format : all_formats()) {
    QuantSpec spec = formats::complete_spec({.format = format}, {});
    const bool is_own = format->name() == own;
    if (!is_own && !is_offered(*format)) continue;
    if (!format->accepts(weight, spec)) continue;
    if (!is_own) specs.push_back(spec);
    // Where one scale serves the whole weight, its search is not that of groups.
    if (!is_own || !can_search_scales(*format) || format->grid() == ScaleGrid::tensor) continue;
    spec.scales = ScaleMethod::search;
    specs.push_back(spec);
  }
  return specs;
}

std::uint64_t bytes_of(const TensorInfo& weight, const QuantSpec& spec) {
  std::uint64_t bytes = 0;
  for (const LayerTensor& tensor : spec.format->outputs(weight, spec)) bytes += element_count(tensor.shape) * bits_of(tensor.dtype) / 8;
  return bytes;
}

std::string size_ratio(std::uint64_t bytes, std::uint64_t now) {
  const double ratio = static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(now, 1));
  return ratio > 0.98 && ratio < 1.02 ? std::string("the same size") : fmt::format("{:.2f} times the size", ratio);
}

double sqnr_or(const ErrorFigures& figures, double otherwise) {
  const double db = figures.sqnr_db();
  return std::isnan(db) ? otherwise : db;
}

/// The median SQNR of the layers of each format.
std::map<std::string, double> typical(const Evaluation& evaluation) {
  std::map<std::string, std::vector<double>> by_format;
  for (const EvaluatedLayer& layer : evaluation.layers) by_format[layer.format].push_back(sqnr_or(layer.figures, 0));
  std::map<std::string, double> medians;
  for (auto& [format, values] : by_format) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    medians[format] = *middle;
  }
  return medians;
}

/// The alternative with the fewest bytes that reaches `db`, or null.
const Alternative* smallest(const EvaluatedLayer& layer, double db) {
  const Alternative* best = nullptr;
  for (const Alternative& alternative : layer.alternatives) {
    if (alternative.search || alternative.sqnr_db < db) continue;
    if (best == nullptr || alternative.bytes < best->bytes || (alternative.bytes == best->bytes && alternative.sqnr_db > best->sqnr_db)) {
      best = &alternative;
    }
  }
  return best;
}

}  // namespace

std::string advice_for(const EvaluatedLayer& layer, double typical_db) {
  const double own = sqnr_or(layer.figures, 0);
  std::string clipped;
  std::string advice;
  const auto add = [&](const std::string& sentence) { advice += (advice.empty() ? "" : " ") + sentence; };
  if (layer.clipped_share() > kMuchClipped) {
    clipped = fmt::format("{:.2f} % of its weights are clipped. ", 100 * layer.clipped_share());
  }
  for (const Alternative& alternative : layer.alternatives) {
    if (!alternative.search || alternative.sqnr_db < own + kWorthwhileDb) continue;
    add(fmt::format("Use --scales search: {:.1f} dB in the same size.", alternative.sqnr_db));
  }
  if (const Alternative* better = smallest(layer, std::max(own + kHalvedDb, kPoorDb))) {
    add(fmt::format("{} {} for it: {:.1f} dB in {}.", advice.empty() ? "Use" : "Or use", better->format, better->sqnr_db,
                    size_ratio(better->bytes, layer.bytes)));
  } else if (own < kPoorDb || own < typical_db - kHalvedDb) {
    add(fmt::format("Keep this layer as it was, in {}: no other format halves its error.", base::human_bytes(layer.source_bytes)));
  } else if (advice.empty()) {
    add("Leave it: no format that was tried halves its error.");
  }
  if (own > typical_db - 1.0) add("It is no worse than most layers of its format.");
  return clipped + advice;
}

void advise(const eval::FloatModel& original, const Backend& backend, std::size_t advised, unsigned threads, const std::atomic<bool>& stop,
            Evaluation& evaluation) {
  std::vector<EvaluatedLayer*> worst;
  for (EvaluatedLayer& layer : evaluation.layers) {
    if (layer.shape.size() == 2 && layer.figures.noise > 0 && std::isfinite(layer.figures.noise)) worst.push_back(&layer);
  }
  std::stable_sort(worst.begin(), worst.end(),
                   [](const EvaluatedLayer* a, const EvaluatedLayer* b) { return a->figures.sqnr_db() < b->figures.sqnr_db(); });
  worst.resize(std::min(worst.size(), advised));
  const std::map<std::string, double> medians = typical(evaluation);
  base::parallel_for(worst.size(), threads, [&](std::size_t i) {
    EvaluatedLayer& layer = *worst[i];
    const ModelTensor& tensor = *original.files().index().find(layer.name);
    const TensorInfo weight{layer.name, is_source_float(tensor.info.dtype) ? tensor.info.dtype : Dtype::F32, layer.shape};
    const std::vector<QuantSpec> specs = specs_for(weight, layer.format);
    const LayerErrors errors = measure(original, tensor, backend, specs, {}, stop);
    for (std::size_t k = 0; k < specs.size(); ++k) {
      layer.alternatives.push_back({std::string(specs[k].format->name()), specs[k].scales == ScaleMethod::search,
                                    errors.of_specs[k].figures.sqnr_db(), bytes_of(weight, specs[k])});
    }
    layer.advice = advice_for(layer, medians.at(layer.format));
  });
  original.files().check();
}

}  // namespace halftone::allocate
