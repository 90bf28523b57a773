#include "allocate/alternatives.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "allocate/advice.hpp"
#include "allocate/layer_errors.hpp"
#include "base/parallel.hpp"
#include "eval/layer_inputs.hpp"
#include "formats/layer_names.hpp"
#include "formats/quant_spec.hpp"

namespace halftone::allocate {
namespace {

bool is_offered(const FormatDescriptor& format) { return !format.facts().needs_custom_node && format.grid() != ScaleGrid::none; }

/// The specs that are tried for a layer, rounded to nearest: its own format with plain and with searched scales, and the
/// others plainly.
std::vector<QuantSpec> specs_for(const TensorInfo& weight, const std::string& own) {
  std::vector<QuantSpec> specs;
  for (const FormatDescriptor* format : all_formats()) {
    QuantSpec spec = formats::complete_spec({.format = format}, {});
    const bool is_own = format->name() == own;
    if ((!is_own && !is_offered(*format)) || !format->accepts(weight, spec)) continue;
    specs.push_back(spec);
    if (!is_own || !can_search_scales(*format)) continue;
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

/// Second moments of the inputs that the layer's outputs were measured on.
class MeasuredInputs {
 public:
  MeasuredInputs(const AdviceSources& from, const EvaluatedLayer& layer) {
    const std::uint64_t columns = layer.shape[1];
    const auto x = eval::given_inputs(*from.activations, from.backend, formats::base_name(layer.name), columns);
    if (!x) return;
    engine_ = from.backend.make_engine((columns + x->count) * columns * sizeof(float));
    memory_.emplace(*engine_);
    const learn::Matrix inputs = memory_->matrix_of(x->values.data(), x->count, columns);
    moments_ = {engine_.get(), memory_->matrix(columns, columns), {}};
    const auto share = 1.0F / static_cast<float>(x->count);
    engine_->multiply({.a = inputs, .transpose_a = true, .b = inputs, .alpha = share, .c = moments_.second, .full_precision = true});
  }
  [[nodiscard]] const InputMoments& moments() const noexcept { return moments_; }

 private:
  std::shared_ptr<learn::Engine> engine_;
  std::optional<learn::Memory> memory_;
  InputMoments moments_;
};

/// Tries other formats on the layer, by the inputs that the layer itself is judged by.
void try_alternatives(const AdviceSources& from, EvaluatedLayer& layer) {
  const ModelTensor& tensor = *from.original.files().index().find(layer.name);
  const TensorInfo weight{layer.name, is_source_float(tensor.info.dtype) ? tensor.info.dtype : Dtype::F32, layer.shape};
  const std::vector<QuantSpec> specs = specs_for(weight, layer.format);
  std::optional<MeasuredInputs> measured;
  std::optional<LayerMoments> known;
  if (layer.output && layer.output->given) {
    measured.emplace(from, layer);
  } else {
    known.emplace(from.original, tensor, from.statistics, from.backend, from.control);
  }
  const InputMoments& moments = measured ? measured->moments() : known->moments();
  const RestoreWhole whole = [&](const QuantSpec& spec, float amax) { return known ? known->restore(spec, amax) : std::nullopt; };
  const LayerErrors errors = measure(from.original, tensor, from.backend, specs, moments, from.control.stop, whole);
  for (std::size_t k = 0; k < specs.size(); ++k) {
    const SpecError& error = errors.of_specs[k];
    if (error.is_refused) continue;
    Alternative alternative{.format = std::string(specs[k].format->name()),
                            .search = specs[k].scales == ScaleMethod::search,
                            .sqnr_db = error.figures.sqnr_db(),
                            .bytes = bytes_of(weight, specs[k])};
    if (layer.output_error()) alternative.output_error = ExpectedError{errors.output_signal, error.output_noise}.rel_l2();
    layer.alternatives.push_back(std::move(alternative));
  }
}

}  // namespace

void advise(const AdviceSources& from, std::size_t advised, unsigned threads, Evaluation& evaluation) {
  std::vector<EvaluatedLayer*> worst;
  for (EvaluatedLayer& layer : evaluation.layers) {
    if (layer.shape.size() == 2 && !layer.is_identical && layer.figures.noise != 0) worst.push_back(&layer);
  }
  const auto loss = [](const EvaluatedLayer* layer) {
    const double db = layer->judged_db();
    return std::isnan(db) ? -HUGE_VAL : db;
  };
  std::stable_sort(worst.begin(), worst.end(), [&](const auto* a, const auto* b) { return loss(a) < loss(b); });
  worst.resize(std::min(worst.size(), advised));
  const std::map<std::string, double> medians = typical(evaluation);
  base::parallel_for(worst.size(), threads, [&](std::size_t i) {
    EvaluatedLayer& layer = *worst[i];
    if (std::isfinite(layer.figures.signal)) try_alternatives(from, layer);
    layer.advice = advice_for(layer, medians.at(layer.format));
  });
  from.original.files().check();
}

}  // namespace halftone::allocate
