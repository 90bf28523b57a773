#include "report/eval_page.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/text.hpp"
#include "report/html.hpp"
#include "report/layer_plots.hpp"
#include "report/svg.hpp"

namespace halftone::report {
namespace {

using Layers = std::vector<const EvaluatedLayer*>;

std::string tile(const std::string& value, const std::string& what) {
  return fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", value, what);
}

/// The layers by descending loss; identical ones come last.
Layers worst_first(const Evaluation& evaluation) {
  Layers layers;
  for (const EvaluatedLayer& layer : evaluation.layers) layers.push_back(&layer);
  const auto loss = [](const EvaluatedLayer* layer) {
    const double db = layer->judged_db();
    return layer->is_identical ? HUGE_VAL : std::isnan(db) ? -HUGE_VAL : db;
  };
  std::stable_sort(layers.begin(), layers.end(), [&](const auto* a, const auto* b) { return loss(a) < loss(b); });
  return layers;
}

std::string output_tiles(const OutputFigures& output) {
  if (output.inputs == 0) return {};
  const char* inputs = output.given ? "given inputs" : "random inputs";
  std::string html = tile(percent(output.weights.rel_l2()), fmt::format("error of outputs, weights quantized, {}", inputs));
  if (output.activations) html += tile(percent(output.activations->rel_l2()), "the same with the inputs quantized, too");
  return html;
}

std::string summary(const Evaluation& evaluation) {
  std::uint64_t clipped = 0;
  std::uint64_t bytes = 0;
  std::size_t measured = 0;
  for (const EvaluatedLayer& layer : evaluation.layers) {
    if (layer.is_identical) continue;
    ++measured;
    clipped += layer.clipped;
    bytes += layer.bytes;
  }
  const auto elements = static_cast<double>(std::max<std::uint64_t>(evaluation.total.elements, 1));
  const double part =
      static_cast<double>(evaluation.file_bytes) / static_cast<double>(std::max<std::uint64_t>(evaluation.source_file_bytes, 1));
  std::string html = "<div class=\"tiles\">\n";
  html += tile(base::human_bytes(evaluation.file_bytes),
               fmt::format("{:.0f} % of the original's {}", 100 * part, base::human_bytes(evaluation.source_file_bytes)));
  if (measured < evaluation.layers.size()) {
    html += tile(std::to_string(evaluation.layers.size() - measured), "quantized layers are identical to those of the original");
  }
  if (measured == 0) return html + "</div>\n";
  html += tile(with_unit(evaluation.total.sqnr_db()), "SQNR of all quantized weights together");
  html += tile(percent(evaluation.total.rel_l2()), "relative error of these weights (L2)");
  html += output_tiles(evaluation.output_total);
  if (evaluation.expected_total)
    html += tile(percent(evaluation.expected_total->rel_l2()), "error of outputs, by the statistics of inputs");
  html += tile(fmt::format("{:.2f}", 8 * static_cast<double>(bytes) / elements),
               fmt::format("bits per weight in {}", base::counted(measured, "layer")));
  html += tile(percent(static_cast<double>(clipped) / elements), "of the weights are clipped");
  html += tile(figure_of(evaluation.total.cosine(), 6), "cosine of weights before and after");
  return html + "</div>\n";
}

std::string alternatives_table(const EvaluatedLayer& layer) {
  if (layer.alternatives.empty()) return {};
  std::vector<Alternative> sorted = layer.alternatives;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Alternative& a, const Alternative& b) { return a.bytes < b.bytes; });
  const bool has_outputs = layer.output_error().has_value();
  std::string html = fmt::format(
      "<div class=\"scroll\"><table><thead><tr><th>rounded to nearest</th><th class=\"n\">SQNR dB</th>{}<th "
      "class=\"n\">size</th></tr></thead><tbody>\n",
      has_outputs ? "<th class=\"n\">outputs</th>" : "");
  for (const Alternative& alternative : sorted) {
    html += fmt::format("<tr><td>{}{}</td><td class=\"n\">{}</td>", escape(alternative.format),
                        alternative.search ? " --scales search" : "", decibels(alternative.sqnr_db));
    if (has_outputs) html += fmt::format("<td class=\"n\">{}</td>", alternative.output_error ? percent(*alternative.output_error) : "–");
    html += fmt::format("<td class=\"n\">{}</td></tr>\n", base::human_bytes(alternative.bytes));
  }
  return html + "</tbody></table></div>\n";
}

std::string output_sentence(const EvaluatedLayer& layer) {
  std::string html;
  if (layer.expected) {
    html = fmt::format("<p class=\"quiet\">Outputs by the statistics: {} off.</p>\n", percent(layer.expected->rel_l2()));
  }
  if (!layer.output) return html;
  std::string text = fmt::format("Outputs: {} off with quantized weights", percent(layer.output->weights.rel_l2()));
  if (layer.output->activations) text += fmt::format(", {} with the inputs quantized, too", percent(layer.output->activations->rel_l2()));
  if (!layer.output->not_quantized_because.empty()) text += fmt::format("; {}", escape(layer.output->not_quantized_because));
  return html + fmt::format("<p class=\"quiet\">{}.</p>\n", text);
}

std::string card(const EvaluatedLayer& layer) {
  std::string html = fmt::format("<section class=\"card\">\n<h3>{}</h3>\n", code(layer.name));
  html += fmt::format("<p>{} {}: {}, largest error {}, {} of {}, {} clipped</p>\n", escape(layer.format), to_string(layer.shape),
                      with_unit(layer.figures.sqnr_db()), figure_of(layer.figures.max_abs, 3), base::human_bytes(layer.bytes),
                      base::human_bytes(layer.source_bytes), percent(layer.clipped_share()));
  html += output_sentence(layer);
  if (!layer.advice.empty()) html += fmt::format("<p class=\"advice\">{}</p>\n", escape(layer.advice));
  html += "<div class=\"plots\">\n";
  if (const auto plot = code_plot(layer.codes)) html += figure(*plot);
  if (const auto plot = scale_plot(layer.scales)) html += figure(*plot);
  return html + alternatives_table(layer) + "</div>\n</section>\n";
}

std::string worst_section(const Layers& layers) {
  std::string html;
  for (const EvaluatedLayer* layer : layers) {
    if (!layer->advice.empty()) html += card(*layer);
  }
  if (html.empty()) return html;
  const bool by_output = std::any_of(layers.begin(), layers.end(), [](const auto* layer) { return layer->output_error().has_value(); });
  return fmt::format("<h2>The layers that lost most, and what to do</h2>\n<p class=\"quiet\">By the error of {}.</p>\n{}",
                     by_output ? "outputs for known inputs; by that of the weight where a layer has none" : "weights", html);
}

/// What the bar of a layer shows: the relative error that ranks it.
double judged_error(const EvaluatedLayer& layer) { return layer.output_error().value_or(layer.figures.rel_l2()); }

/// What a row of the table is measured by.
struct Extremes {
  double bytes = 1;  ///< of the largest layer of the original
  double error = 0;  ///< of the worst layer
  bool has_output = false;
  bool has_expected = false;
  bool has_time = false;

  [[nodiscard]] int columns_behind_sizes() const { return 5 + (has_output ? 2 : 0) + (has_expected ? 1 : 0) + (has_time ? 2 : 0); }
};

std::string row(const EvaluatedLayer& layer, const Extremes& extremes) {
  const double error = layer.figures.rel_l2();
  std::string html = fmt::format("<tr><td class=\"name\">{}</td><td class=\"f\">{}</td>", code(layer.name), escape(layer.format));
  html += fmt::format("<td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.2f}</td>",
                      two_bars(static_cast<double>(layer.source_bytes) / extremes.bytes, static_cast<double>(layer.bytes) / extremes.bytes),
                      base::human_bytes(layer.bytes), layer.bits_per_weight());
  if (layer.is_identical) {
    return html + fmt::format("<td colspan=\"{}\" class=\"quiet\">identical</td></tr>\n", extremes.columns_behind_sizes());
  }
  html += fmt::format("<td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
                      bar(extremes.error > 0 ? judged_error(layer) / extremes.error : 0, "error"), decibels(layer.figures.sqnr_db()),
                      percent(error), percent(layer.clipped_share()));
  if (extremes.has_output) {
    const bool quantized = layer.output && layer.output->activations;
    html += fmt::format("<td class=\"n\">{}</td><td class=\"n\">{}</td>", layer.output ? percent(layer.output->weights.rel_l2()) : "–",
                        quantized ? percent(layer.output->activations->rel_l2()) : "–");
  }
  if (extremes.has_expected) html += fmt::format("<td class=\"n\">{}</td>", layer.expected ? percent(layer.expected->rel_l2()) : "–");
  if (extremes.has_time) {
    html += layer.time ? fmt::format("<td class=\"n\">{:.1f} µs</td><td class=\"n\">{:.2f}</td>", 1e6 * layer.time->seconds,
                                     layer.time->seconds / layer.time->bf16_seconds)
                       : "<td class=\"n\">–</td><td class=\"n\">–</td>";
  }
  return html + fmt::format("<td>{}</td></tr>\n", sparkline(merged(codes_by_value(layer.codes), 64)));
}

std::string table(const Layers& layers) {
  Extremes extremes;
  for (const EvaluatedLayer* layer : layers) {
    extremes.bytes = std::max(extremes.bytes, static_cast<double>(std::max(layer->source_bytes, layer->bytes)));
    if (std::isfinite(judged_error(*layer))) extremes.error = std::max(extremes.error, judged_error(*layer));
    extremes.has_output = extremes.has_output || layer->output.has_value();
    extremes.has_expected = extremes.has_expected || layer->expected.has_value();
    extremes.has_time = extremes.has_time || layer->time.has_value();
  }
  std::string html =
      "<h2>Every layer</h2>\n<p class=\"quiet\"><span class=\"key other\"></span>size in the original <span class=\"key mark\"></span>size "
      "now <span class=\"key error\"></span>relative error, as part of the largest: of outputs for known inputs, else of the "
      "weight</p>\n<div "
      "class=\"scroll\"><table><thead><tr>"
      "<th>weight</th><th>format</th><th>size</th><th class=\"n\">now</th><th class=\"n\">bits</th><th>error</th><th class=\"n\">SQNR "
      "dB</th>"
      "<th class=\"n\">rel L2</th><th class=\"n\">clipped</th>";
  if (extremes.has_output) html += "<th class=\"n\">outputs</th><th class=\"n\">with inputs</th>";
  if (extremes.has_expected) html += "<th class=\"n\">by statistics</th>";
  if (extremes.has_time) html += "<th class=\"n\">time</th><th class=\"n\">of BF16</th>";
  html += "<th>codes</th></tr></thead><tbody>\n";
  for (const EvaluatedLayer* layer : layers) html += row(*layer, extremes);
  return html + "</tbody></table></div>\n";
}

/// Sums of the codes of all layers of each format.
std::string formats_section(const Evaluation& evaluation) {
  std::map<std::string, CodeHistogram> by_format;
  std::map<std::string, std::size_t> layers;
  for (const EvaluatedLayer& layer : evaluation.layers) {
    if (layer.codes.counts.empty()) continue;  // not quantized, or identical
    ++layers[layer.format];
    CodeHistogram& sum = by_format[layer.format];
    if (sum.counts.size() != layer.codes.counts.size()) {
      sum = layer.codes;
      continue;
    }
    for (std::size_t i = 0; i < sum.counts.size(); ++i) sum.counts[i] += layer.codes.counts[i];
  }
  std::string html = by_format.empty() ? "" : "<h2>Formats</h2>\n";
  for (const auto& [format, codes] : by_format) {
    html += fmt::format("<section class=\"card\">\n<h3>{}, {}</h3>\n", escape(format), base::counted(layers[format], "layer"));
    if (const auto plot = code_plot(codes)) html += fmt::format("<div class=\"plots\">{}</div>", figure(*plot));
    html += "</section>\n";
  }
  return html;
}

std::string closing(const Evaluation& evaluation) {
  std::string html = "<h2>Notes</h2>\n";
  for (const std::string& note : evaluation.notes) html += fmt::format("<p>{}.</p>\n", escape(note));
  html += fmt::format("<p>{} of the original's type and shape, {}.</p>\n", base::counted(evaluation.kept, "tensor"),
                      base::human_bytes(evaluation.kept_bytes));
  if (!evaluation.device.empty()) html += fmt::format("<p>Products ran on {}.</p>\n", escape(evaluation.device));
  html +=
      "<p class=\"quiet\">SQNR is 10 log10(Σa² / Σ(b − a)²) of original values a and values b now, relative error √(Σ(b − a)² / Σa²). A "
      "weight is clipped where it lies beyond the outermost code of its group by more than half the step before it. Errors of outputs are "
      "relative, too, against products in binary64. Sums are in binary64, and do not depend on threads.</p>\n";
  return html;
}

}  // namespace

std::string eval_page(const Evaluation& evaluation, const std::string& file, const std::string& source) {
  const Layers layers = worst_first(evaluation);
  std::string body = fmt::format("<h1>What quantization lost</h1>\n<p>{} <span class=\"quiet\">measured against</span> {}</p>\n",
                                 code(file), code(source));
  body += summary(evaluation) + worst_section(layers) + table(layers) + formats_section(evaluation) + closing(evaluation);
  return page(fmt::format("Halftone: {}", file), body);
}

}  // namespace halftone::report
