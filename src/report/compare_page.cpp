#include "report/compare_page.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/text.hpp"
#include "report/html.hpp"
#include "report/svg.hpp"

namespace halftone::report {
namespace {

/// The least SQNR of a row; a row without figures comes first.
double loss_of(const ComparisonRow& row) {
  double least = HUGE_VAL;
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    if (row.is_missing[i]) return -HUGE_VAL;
    if (row.cells[i] == nullptr) continue;
    const double db = row.cells[i]->figures.sqnr_db();
    if (!row.cells[i]->comparable || std::isnan(db)) return -HUGE_VAL;
    least = std::min(least, db);
  }
  return least;
}

double largest_error(const std::vector<Comparison>& files) {
  double largest = 0;
  for (const Comparison& file : files) {
    for (const TensorComparison& layer : file.layers) {
      const double error = layer.figures.rel_l2();
      if (layer.comparable && std::isfinite(error)) largest = std::max(largest, error);
    }
  }
  return largest;
}

std::string files_table(const std::string& original, const std::vector<Comparison>& files, const std::vector<std::uint64_t>& bytes) {
  const auto most = static_cast<double>(std::max<std::uint64_t>(*std::max_element(bytes.begin(), bytes.end()), 1));
  double worst = 0;
  for (const Comparison& file : files) worst = std::max(worst, std::isfinite(file.total.rel_l2()) ? file.total.rel_l2() : 0);
  std::string html =
      "<div class=\"scroll\"><table><thead><tr><th>file</th><th colspan=\"2\">size</th><th>error</th><th class=\"n\">SQNR dB</th>"
      "<th class=\"n\">rel L2</th><th class=\"n\">cosine</th><th class=\"n\">max |e|</th><th class=\"n\">differ</th><th class=\"n\">"
      "identical</th><th class=\"n\">missing</th><th class=\"n\">added</th></tr></thead><tbody>\n";
  html += fmt::format(
      "<tr><td class=\"name\">{} <span class=\"quiet\">the original</span></td><td>{}</td><td class=\"n\">{}</td>"
      "<td colspan=\"9\"></td></tr>\n",
      code(original), bar(static_cast<double>(bytes[0]) / most, "other"), base::human_bytes(bytes[0]));
  for (std::size_t i = 0; i < files.size(); ++i) {
    const Comparison& file = files[i];
    const ErrorFigures& total = file.total;
    html += fmt::format("<tr><td class=\"name\">{}</td><td>{}</td><td class=\"n\">{}</td>", code(file.other.string()),
                        bar(static_cast<double>(bytes[i + 1]) / most, "mark"), base::human_bytes(bytes[i + 1]));
    if (total.elements == 0) {
      html += fmt::format("<td colspan=\"5\" class=\"quiet\">{}</td>",
                          file.layers.empty() && file.only_original.empty() ? "identical" : "nothing was comparable");
    } else {
      html += fmt::format("<td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
                          bar(worst > 0 ? total.rel_l2() / worst : 0, "error"), decibels(total.sqnr_db()), percent(total.rel_l2()),
                          figure_of(total.cosine(), 6), figure_of(total.max_abs, 3));
    }
    html += fmt::format("<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                        file.layers.size(), file.identical, file.only_original.size(), file.only_other.size());
  }
  return html + "</tbody></table></div>\n";
}

std::string cell(const ComparisonRow& row, std::size_t i, double worst) {
  if (row.is_missing[i]) return "<td colspan=\"3\">missing</td>";
  const TensorComparison* tensor = row.cells[i];
  if (tensor == nullptr) return "<td colspan=\"3\" class=\"quiet\">as in the original</td>";
  if (!tensor->comparable) return fmt::format("<td colspan=\"3\">{}, not comparable</td>", escape(tensor->stored));
  return fmt::format("<td class=\"f\">{}</td><td>{}</td><td class=\"n\">{}</td>", escape(tensor->stored),
                     bar(worst > 0 ? tensor->figures.rel_l2() / worst : 0, "error"), decibels(tensor->figures.sqnr_db()));
}

std::string tensors_table(const std::vector<Comparison>& files) {
  std::vector<ComparisonRow> rows = comparison_rows(files);
  if (rows.empty()) return "<h2>Tensor by tensor</h2>\n<p>Every tensor of the original is identical in every file.</p>\n";
  std::stable_sort(rows.begin(), rows.end(), [](const ComparisonRow& a, const ComparisonRow& b) { return loss_of(a) < loss_of(b); });
  const double worst = largest_error(files);
  std::string html =
      "<h2>Tensor by tensor</h2>\n<p class=\"quiet\"><span class=\"key error\"></span>relative error, as part of the largest; numbers are "
      "SQNR in dB</p>\n<div class=\"scroll\"><table><thead><tr><th>tensor</th>";
  for (const Comparison& file : files) html += fmt::format("<th colspan=\"3\">{}</th>", code(file.other.filename().string()));
  html += "</tr></thead><tbody>\n";
  for (const ComparisonRow& row : rows) {
    html += fmt::format("<tr><td class=\"name\">{}</td>", code(row.name));
    for (std::size_t i = 0; i < files.size(); ++i) html += cell(row, i, worst);
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string added(const std::vector<Comparison>& files) {
  std::string html;
  for (const Comparison& file : files) {
    for (const std::string& name : file.only_other) {
      html += fmt::format("<p>{} has {}, which the original lacks.</p>\n", code(file.other.filename().string()), code(name));
    }
  }
  return html;
}

}  // namespace

std::vector<ComparisonRow> comparison_rows(const std::vector<Comparison>& files) {
  std::map<std::string, ComparisonRow> rows;
  const auto row_of = [&](const std::string& name) -> ComparisonRow& {
    ComparisonRow& row = rows[name];
    row.name = name;
    row.cells.resize(files.size(), nullptr);
    row.is_missing.resize(files.size(), false);
    return row;
  };
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (const TensorComparison& layer : files[i].layers) row_of(layer.name).cells[i] = &layer;
    for (const std::string& name : files[i].only_original) row_of(name).is_missing[i] = true;
  }
  std::vector<ComparisonRow> result;
  for (auto& [name, row] : rows) result.push_back(std::move(row));
  return result;
}

std::string compare_page(const std::string& original, const std::vector<Comparison>& files, const std::vector<std::uint64_t>& bytes) {
  std::string body = fmt::format("<h1>{} beside the original</h1>\n", base::counted(files.size(), "file"));
  body += files_table(original, files, bytes) + tensors_table(files) + added(files);
  body +=
      "<p class=\"quiet\">SQNR is 10 log10(Σa² / Σ(b − a)²) of original values a and values b of the file, relative error √(Σ(b − a)² / "
      "Σa²). Totals are over the tensors that differ. Sums are in binary64, and do not depend on threads.</p>\n";
  return page(fmt::format("Halftone: {}", original), body);
}

}  // namespace halftone::report
