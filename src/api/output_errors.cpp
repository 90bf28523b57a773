#include "api/output_errors.hpp"

#include <algorithm>
#include <optional>

#include "base/fail.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"
#include "eval/error_figures.hpp"
#include "eval/layer_inputs.hpp"
#include "eval/original_weight.hpp"
#include "eval/reference_product.hpp"
#include "eval/row_bands.hpp"
#include "formats/layer_names.hpp"
#include "ops/stored_layer.hpp"

namespace halftone::api {
namespace {

/// Of each product; the median counts.
constexpr int kRepeats = 9;

/// A layer whose product can be run: quantized, two-dimensional and not empty.
bool has_product(const OutputSources& from, const EvaluatedLayer& layer) {
  return !layer.is_identical && layer.shape.size() == 2 && layer.figures.elements != 0 && from.other.layer(layer.name) != nullptr;
}

LinearLayer read_layer(const OutputSources& from, const EvaluatedLayer& layer) {
  formats::QuantizedLayer stored = *from.other.layer(layer.name);
  eval::take_original_shape(stored, layer.shape);
  return ops::layer_in_memory(from.other.files(), stored, from.reader);
}

/// The bias of the original, where it has one of the right length.
std::vector<float> original_bias(const OutputSources& from, const EvaluatedLayer& layer) {
  const ModelTensor* bias = from.original.files().index().find(formats::base_name(layer.name) + ".bias");
  if (bias == nullptr || bias->info.shape != Shape{layer.shape[0]} || !is_source_float(bias->info.dtype)) return {};
  std::vector<float> values(layer.shape[0]);
  from.original.read(*bias, 0, layer.shape[0], values.data());
  return values;
}

std::optional<eval::LayerInputs> inputs_of(const OutputSources& from, const EvaluatedLayer& layer) {
  if (from.activations == nullptr) return eval::random_inputs(from.options.inputs, layer.shape[1], from.options.seed, layer.name);
  return eval::given_inputs(*from.activations, from.reader, formats::base_name(layer.name), layer.shape[1]);
}

MatrixView view_of(const eval::LayerInputs& x, std::uint64_t columns) {
  return {reinterpret_cast<const std::byte*>(x.values.data()), Dtype::F32, x.count, columns};
}

void measure_layer(const OutputSources& from, EvaluatedLayer& layer) {
  const std::optional<eval::LayerInputs> x = inputs_of(from, layer);
  if (!x) return;
  eval::check_stop(from.control.stop);
  const ModelTensor& weight = *from.original.files().index().find(layer.name);
  const std::vector<float> expected = eval::reference_product(from.original, weight, *x, original_bias(from, layer), from.control.stop);
  const LinearLayer stored = read_layer(from, layer);
  std::vector<float> found(expected.size());
  const auto run = [&](Activations activations) {
    from.operations.linear(stored, activations)->run(view_of(*x, layer.shape[1]), Dtype::F32, reinterpret_cast<std::byte*>(found.data()));
    ErrorFigures figures;
    eval::accumulate(figures, expected.data(), found.data(), found.size());
    return figures;
  };
  OutputFigures output{.given = from.activations != nullptr, .inputs = x->count};
  output.weights = run(Activations::plain);
  const Support can = can_quantize_activations(stored);
  if (can) {
    output.activations = run(Activations::loader);
  } else {
    output.not_quantized_because = can.reason;
  }
  layer.output = std::move(output);
}

/// The sum over all layers; quantized inputs count where all layers have them.
void add_total(Evaluation& evaluation) {
  OutputFigures& total = evaluation.output_total;
  for (const EvaluatedLayer& layer : evaluation.layers) {
    if (!layer.output) continue;
    total.given = layer.output->given;
    total.inputs += layer.output->inputs;
    total.weights.add(layer.output->weights);
    if (!layer.output->activations) continue;
    if (!total.activations) total.activations.emplace();
    total.activations->add(*layer.output->activations);
  }
}

}  // namespace

void measure_outputs(const OutputSources& from, unsigned threads, Evaluation& evaluation) {
  std::vector<EvaluatedLayer*> layers;
  for (EvaluatedLayer& layer : evaluation.layers) {
    if (has_product(from, layer)) layers.push_back(&layer);
  }
  base::parallel_for(layers.size(), threads, [&](std::size_t i) { measure_layer(from, *layers[i]); });
  from.original.files().check();
  from.other.files().check();
  add_total(evaluation);
  const auto with = static_cast<std::size_t>(
      std::count_if(layers.begin(), layers.end(), [](const EvaluatedLayer* layer) { return layer->output.has_value(); }));
  if (from.activations != nullptr && with == 0 && !layers.empty()) {
    fail(ErrorKind::usage, "'{}' has inputs of no quantized layer: no tensor such as '{}.input'", from.activations->path().string(),
         base::printable(formats::base_name(layers.front()->name)));
  }
  if (with < layers.size()) {
    evaluation.notes.push_back(
        fmt::format("outputs are measured of {} of {} quantized layers: the given inputs have no others", with, layers.size()));
  }
}

void time_outputs(const OutputSources& from, Evaluation& evaluation) {
  for (EvaluatedLayer& layer : evaluation.layers) {
    if (!has_product(from, layer)) continue;
    const std::optional<eval::LayerInputs> x = inputs_of(from, layer);
    if (!x) continue;
    eval::check_stop(from.control.stop);
    const std::uint64_t columns = layer.shape[1];
    std::vector<std::byte> inputs(x->values.size() * 2);
    from.reader.from_float(x->values.data(), x->values.size(), Dtype::BF16, inputs.data());
    const MatrixView view{inputs.data(), Dtype::BF16, x->count, columns};
    const LinearLayer stored = read_layer(from, layer);
    const Activations activations = can_quantize_activations(stored) ? Activations::loader : Activations::plain;
    const auto linear = from.operations.linear(stored, activations);
    OutputTime time{.method = linear->method(), .seconds = linear->seconds(view, Dtype::BF16, kRepeats)};
    const ModelTensor& weight = *from.original.files().index().find(layer.name);
    std::vector<float> values(layer.shape[0] * columns);
    from.original.read(weight, 0, layer.shape[0], values.data());
    std::vector<std::byte> plain(values.size() * 2);
    from.reader.from_float(values.data(), values.size(), Dtype::BF16, plain.data());
    const auto dense = from.operations.dense({plain.data(), Dtype::BF16, layer.shape[0], columns});
    time.bf16_seconds = dense->seconds(view, Dtype::BF16, kRepeats);
    layer.time = std::move(time);
  }
}

}  // namespace halftone::api
