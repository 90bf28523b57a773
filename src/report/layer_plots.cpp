#include "report/layer_plots.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "base/text.hpp"

namespace halftone::report {
namespace {

constexpr std::size_t kMostBars = 64;

/// Codes that stand for numbers, by these.
std::vector<std::size_t> order_of(const CodeHistogram& codes) {
  std::vector<std::size_t> order;
  for (std::size_t code = 0; code < codes.counts.size(); ++code) {
    if (std::isfinite(codes.values[code])) order.push_back(code);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return codes.values[a] < codes.values[b]; });
  return order;
}

}  // namespace

std::vector<double> codes_by_value(const CodeHistogram& codes) {
  std::vector<double> counts;
  for (const std::size_t code : order_of(codes)) counts.push_back(static_cast<double>(codes.counts[code]));
  return counts;
}

std::optional<Histogram> code_plot(const CodeHistogram& codes) {
  const std::vector<std::size_t> order = order_of(codes);
  if (order.empty()) return std::nullopt;
  return Histogram{merged(codes_by_value(codes), kMostBars),
                   fmt::format("codes: {} of {} occur, {:.2f} bits of information in each", codes.codes_used(), codes.counts.size(),
                               codes.entropy_bits()),
                   fmt::format("{:.4g}", codes.values[order.front()]), fmt::format("{:.4g}", codes.values[order.back()])};
}

std::optional<Histogram> scale_plot(const ScaleHistogram& scales) {
  const std::uint64_t n = std::accumulate(scales.counts.begin(), scales.counts.end(), std::uint64_t{0});
  if (n < 2) return std::nullopt;
  std::string caption = fmt::format("{}, by their logarithm", base::counted(n, "scale"));
  if (scales.zeros != 0) caption += fmt::format("; {} more {} zero", scales.zeros, scales.zeros == 1 ? "is" : "are");
  const std::vector<double> counts(scales.counts.begin(), scales.counts.end());
  return Histogram{merged(counts, kMostBars), std::move(caption), fmt::format("{:.2e}", scales.edge(0)),
                   fmt::format("{:.2e}", scales.edge(scales.counts.size()))};
}

}  // namespace halftone::report
