#include "eval_report.hpp"

#include <algorithm>
#include <numeric>

#include "base/text.hpp"
#include "figures_json.hpp"

namespace halftone::tool {
namespace {

using nlohmann::ordered_json;

ordered_json output_json(const OutputFigures& output) {
  ordered_json json = {
      {"inputs", output.given ? "given" : "random"}, {"vectors", output.inputs}, {"weights", figures_json(output.weights)}};
  json["weights_and_inputs"] = output.activations ? figures_json(*output.activations) : ordered_json(nullptr);
  if (!output.not_quantized_because.empty()) json["not_quantized_because"] = output.not_quantized_because;
  return json;
}

ordered_json scales_json(const ScaleHistogram& scales) {
  ordered_json json = {{"zeros", scales.zeros}, {"from", nullptr}, {"counts", scales.counts}};
  if (!scales.counts.empty()) json["from"] = scales.edge(0);
  return json;
}

ordered_json layer_json(const EvaluatedLayer& layer) {
  ordered_json json = {{"name", layer.name},   {"format", layer.format},
                       {"shape", layer.shape}, {"source_bytes", layer.source_bytes},
                       {"bytes", layer.bytes}, {"bits_per_weight", layer.bits_per_weight()}};
  json.update(figures_json(layer.figures));
  json["clipped"] = layer.clipped_share();
  if (!layer.codes.counts.empty()) {
    json["codes"] = {{"counts", layer.codes.counts}, {"entropy_bits", number(layer.codes.entropy_bits())}};
    json["scales"] = scales_json(layer.scales);
  }
  json["output"] = layer.output ? output_json(*layer.output) : ordered_json(nullptr);
  if (layer.time) {
    json["time"] = {{"method", layer.time->method}, {"seconds", layer.time->seconds}, {"bf16_seconds", layer.time->bf16_seconds}};
  }
  if (!layer.advice.empty()) {
    ordered_json tried = ordered_json::array();
    for (const Alternative& alternative : layer.alternatives) {
      tried.push_back({{"format", alternative.format},
                       {"scales", alternative.search ? "search" : "absmax"},
                       {"sqnr_db", number(alternative.sqnr_db)},
                       {"bytes", alternative.bytes}});
    }
    json["alternatives"] = std::move(tried);
    json["advice"] = layer.advice;
  }
  return json;
}

std::string or_dash(bool known, double value, int width) {
  return known ? fmt::format("{:>{}.3e}", value, width) : fmt::format("{:>{}}", "-", width);
}

std::string line(const EvaluatedLayer& layer, bool has_output, bool has_time) {
  const ErrorFigures& f = layer.figures;
  std::string text = fmt::format("{:>8.2f} {:>8.2f} {:>10.7f} {:>9.3e} {:>10.3e} {:>10.3e} {:>8.4f} {:>6.2f}", f.sqnr_db(), f.psnr_db(),
                                 f.cosine(), f.rel_l2(), f.max_abs, f.mse(), 100 * layer.clipped_share(), layer.bits_per_weight());
  if (has_output) {
    const bool quantized = layer.output && layer.output->activations;
    text += or_dash(layer.output.has_value(), layer.output ? layer.output->weights.rel_l2() : 0, 11);
    text += or_dash(quantized, quantized ? layer.output->activations->rel_l2() : 0, 11);
  }
  if (has_time) {
    text += layer.time ? fmt::format(" {:>9.1f} {:>7.2f}", 1e6 * layer.time->seconds, layer.time->seconds / layer.time->bf16_seconds)
                       : fmt::format(" {:>9} {:>7}", "-", "-");
  }
  return text + fmt::format("  {:<12} {}\n", layer.format, base::printable(layer.name));
}

}  // namespace

std::string evaluation_text(const Evaluation& evaluation) {
  const bool has_output = evaluation.output_total.inputs != 0;
  const bool has_time =
      std::any_of(evaluation.layers.begin(), evaluation.layers.end(), [](const EvaluatedLayer& layer) { return layer.time.has_value(); });
  std::string text = fmt::format("{:>8} {:>8} {:>10} {:>9} {:>10} {:>10} {:>8} {:>6}", "SQNR dB", "PSNR dB", "cosine", "rel L2", "max |e|",
                                 "MSE", "clip %", "bits");
  if (has_output) text += fmt::format(" {:>10} {:>10}", "out W", "out W+A");
  if (has_time) text += fmt::format(" {:>9} {:>7}", "us", "of BF16");
  text += fmt::format("  {:<12} {}\n", "stored as", "tensor");
  for (const EvaluatedLayer& layer : evaluation.layers) text += line(layer, has_output, has_time);
  EvaluatedLayer total{.name = "all of these together", .format = "total", .figures = evaluation.total};
  for (const EvaluatedLayer& layer : evaluation.layers) {
    total.bytes += layer.bytes;
    total.clipped += layer.clipped;
  }
  if (has_output) total.output = evaluation.output_total;
  text += line(total, has_output, has_time);
  for (const EvaluatedLayer& layer : evaluation.layers) {
    if (!layer.advice.empty()) text += fmt::format("advice  {}: {}\n", base::printable(layer.name), layer.advice);
  }
  for (const std::string& note : evaluation.notes) text += fmt::format("note    {}\n", note);
  if (has_output) {
    text += fmt::format("outputs relative L2 of x·Wᵀ for {} inputs, with quantized weights (W) and inputs (A), on {}\n",
                        evaluation.output_total.given ? "given" : "random", evaluation.device);
  }
  return text + fmt::format("size    {} of {}; {} {} the original's type and shape\n", base::human_bytes(evaluation.file_bytes),
                            base::human_bytes(evaluation.source_file_bytes), base::counted(evaluation.kept, "tensor"),
                            evaluation.kept == 1 ? "has" : "have");
}

ordered_json evaluation_json(const Evaluation& evaluation) {
  ordered_json layers = ordered_json::array();
  std::uint64_t clipped = 0;
  std::uint64_t bytes = 0;
  for (const EvaluatedLayer& layer : evaluation.layers) {
    layers.push_back(layer_json(layer));
    clipped += layer.clipped;
    bytes += layer.bytes;
  }
  const auto elements = static_cast<double>(std::max<std::uint64_t>(evaluation.total.elements, 1));
  ordered_json total = figures_json(evaluation.total);
  total["clipped"] = static_cast<double>(clipped) / elements;
  total["bits_per_weight"] = 8 * static_cast<double>(bytes) / elements;
  total["output"] = evaluation.output_total.inputs != 0 ? output_json(evaluation.output_total) : ordered_json(nullptr);
  return {{"bytes", evaluation.file_bytes},
          {"source_bytes", evaluation.source_file_bytes},
          {"layers", std::move(layers)},
          {"total", std::move(total)},
          {"kept", {{"tensors", evaluation.kept}, {"bytes", evaluation.kept_bytes}}},
          {"device", evaluation.device},
          {"notes", evaluation.notes}};
}

}  // namespace halftone::tool
