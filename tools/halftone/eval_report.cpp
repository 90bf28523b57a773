#include "eval_report.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/decibels.hpp"
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

ordered_json expected_json(const ExpectedError& expected) {
  return {{"rel_l2", number(expected.rel_l2())}, {"noise", number(expected.noise)}, {"signal", number(expected.signal)}};
}

ordered_json scales_json(const ScaleHistogram& scales) {
  ordered_json json = {{"zeros", scales.zeros}, {"not_finite", scales.not_finite}, {"from", nullptr}, {"counts", scales.counts}};
  if (!scales.counts.empty()) json["from"] = scales.edge(0);
  return json;
}

ordered_json layer_json(const EvaluatedLayer& layer) {
  ordered_json json = {{"name", layer.name},   {"format", layer.format},
                       {"shape", layer.shape}, {"source_bytes", layer.source_bytes},
                       {"bytes", layer.bytes}, {"bits_per_weight", layer.bits_per_weight()}};
  json["identical"] = layer.is_identical;
  json.update(figures_json(layer.figures));
  json["clipped"] = layer.clipped_share();
  if (!layer.codes.counts.empty()) {
    json["codes"] = {{"counts", layer.codes.counts}, {"entropy_bits", number(layer.codes.entropy_bits())}};
    json["scales"] = scales_json(layer.scales);
  }
  json["output"] = layer.output ? output_json(*layer.output) : ordered_json(nullptr);
  if (layer.expected) json["expected"] = expected_json(*layer.expected);
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
      if (alternative.output_error) tried.back()["output_rel_l2"] = number(*alternative.output_error);
    }
    json["alternatives"] = std::move(tried);
    json["advice"] = layer.advice;
  }
  return json;
}

/// What the table has beside the figures of weights.
struct Columns {
  bool output = false;
  bool expected = false;
  bool time = false;

  explicit Columns(const Evaluation& evaluation)
      : output(evaluation.output_total.inputs != 0),
        expected(evaluation.expected_total.has_value()),
        time(std::any_of(evaluation.layers.begin(), evaluation.layers.end(), [](const auto& layer) { return layer.time.has_value(); })) {}
};

std::string headings(const Columns& columns) {
  std::string text = fmt::format("{:>8} {:>8} {:>10} {:>9} {:>10} {:>10} {:>8} {:>6}", "SQNR dB", "PSNR dB", "cosine", "rel L2", "max |e|",
                                 "MSE", "clip %", "bits");
  if (columns.output) text += fmt::format(" {:>10} {:>10}", "out W", "out W+A");
  if (columns.expected) text += fmt::format(" {:>10}", "out stats");
  if (columns.time) text += fmt::format(" {:>9} {:>7}", "us", "of BF16");
  return text + fmt::format("  {:<12} {}\n", "stored as", "tensor");
}

std::string figures_text(const EvaluatedLayer& layer) {
  const ErrorFigures& f = layer.figures;
  if (layer.is_identical) return fmt::format("{:>70} {:>6.2f}", "identical", layer.bits_per_weight());
  const std::string cosine = std::isfinite(f.cosine()) ? fmt::format("{:.7f}", f.cosine()) : "-";
  return fmt::format("{:>8} {:>8} {:>10} {:>9} {:>10} {:>10} {:>8.4f} {:>6.2f}", base::decibel_figure(f.sqnr_db()),
                     base::decibel_figure(f.psnr_db()), cosine, base::scientific(f.rel_l2(), 3), base::scientific(f.max_abs, 3),
                     base::scientific(f.mse(), 3), 100 * layer.clipped_share(), layer.bits_per_weight());
}

std::string line(const EvaluatedLayer& layer, const Columns& columns) {
  std::string text = figures_text(layer);
  const auto add = [&](std::optional<double> value) { text += fmt::format(" {:>10}", value ? base::scientific(*value, 3) : "-"); };
  if (columns.output) {
    add(layer.output ? std::optional(layer.output->weights.rel_l2()) : std::nullopt);
    add(layer.output && layer.output->activations ? std::optional(layer.output->activations->rel_l2()) : std::nullopt);
  }
  if (columns.expected) add(layer.expected ? std::optional(layer.expected->rel_l2()) : std::nullopt);
  if (columns.time) {
    text += layer.time ? fmt::format(" {:>9.1f} {:>7.2f}", 1e6 * layer.time->seconds, layer.time->seconds / layer.time->bf16_seconds)
                       : fmt::format(" {:>9} {:>7}", "-", "-");
  }
  return text + fmt::format("  {:<12} {}\n", layer.format, base::printable(layer.name));
}

/// The layers that were measured, as one.
EvaluatedLayer total_of(const Evaluation& evaluation) {
  EvaluatedLayer total{.name = "all of these together", .format = "total", .figures = evaluation.total};
  for (const EvaluatedLayer& layer : evaluation.layers) {
    if (layer.is_identical) continue;
    total.bytes += layer.bytes;
    total.clipped += layer.clipped;
  }
  if (evaluation.output_total.inputs != 0) total.output = evaluation.output_total;
  total.expected = evaluation.expected_total;
  return total;
}

std::size_t identical_layers(const Evaluation& evaluation) {
  return static_cast<std::size_t>(
      std::count_if(evaluation.layers.begin(), evaluation.layers.end(), [](const auto& layer) { return layer.is_identical; }));
}

}  // namespace

std::string evaluation_text(const Evaluation& evaluation) {
  const Columns columns(evaluation);
  std::string text = headings(columns);
  for (const EvaluatedLayer& layer : evaluation.layers) text += line(layer, columns);
  const std::size_t identical = identical_layers(evaluation);
  if (identical < evaluation.layers.size()) text += line(total_of(evaluation), columns);
  if (identical != 0) {
    text += fmt::format("same    {} identical to {} of the original, and not measured\n",
                        identical == 1 ? "1 layer is" : fmt::format("{} layers are", identical), identical == 1 ? "that" : "those");
  }
  for (const EvaluatedLayer& layer : evaluation.layers) {
    if (!layer.advice.empty()) text += fmt::format("advice  {}: {}\n", base::printable(layer.name), layer.advice);
  }
  for (const std::string& note : evaluation.notes) text += fmt::format("note    {}\n", note);
  if (columns.output) {
    text += fmt::format("outputs relative L2 of x·Wᵀ for {} inputs, with quantized weights (W) and inputs (A), on {}\n",
                        evaluation.output_total.given ? "given" : "random", evaluation.device);
  }
  if (columns.expected) text += "stats   relative L2 of outputs, by the statistics: second moments, or their diagonal\n";
  return text + fmt::format("size    {} of {}; {} {} the original's type and shape\n", base::human_bytes(evaluation.file_bytes),
                            base::human_bytes(evaluation.source_file_bytes), base::counted(evaluation.kept, "tensor"),
                            evaluation.kept == 1 ? "has" : "have");
}

ordered_json evaluation_json(const Evaluation& evaluation) {
  ordered_json layers = ordered_json::array();
  for (const EvaluatedLayer& layer : evaluation.layers) layers.push_back(layer_json(layer));
  const EvaluatedLayer all = total_of(evaluation);
  ordered_json total = figures_json(evaluation.total);
  total["clipped"] = all.clipped_share();
  total["bits_per_weight"] = all.bits_per_weight();
  total["output"] = all.output ? output_json(*all.output) : ordered_json(nullptr);
  if (all.expected) total["expected"] = expected_json(*all.expected);
  return {{"bytes", evaluation.file_bytes},
          {"source_bytes", evaluation.source_file_bytes},
          {"layers", std::move(layers)},
          {"total", std::move(total)},
          {"identical", identical_layers(evaluation)},
          {"kept", {{"tensors", evaluation.kept}, {"bytes", evaluation.kept_bytes}}},
          {"device", evaluation.device},
          {"notes", evaluation.notes}};
}

}  // namespace halftone::tool
