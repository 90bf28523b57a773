#include "report/svg.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "report/html.hpp"

namespace halftone::report {
namespace {

constexpr double kBarWidth = 120;

/// One path for all bars, `width` × `height`, the highest of full height.  What is not zero can be seen.
std::string bars_path(const std::vector<double>& heights, double width, double height) {
  const double highest = heights.empty() ? 0 : *std::max_element(heights.begin(), heights.end());
  if (!(highest > 0)) return {};
  const double step = width / static_cast<double>(heights.size());
  const double gap = step > 3 ? 1 : 0;
  std::string path;
  for (std::size_t i = 0; i < heights.size(); ++i) {
    if (heights[i] == 0) continue;
    const double h = std::max(height * heights[i] / highest, 0.6);
    path += fmt::format("M{:.4g} {:.4g}v{:.3g}h{:.4g}v{:.3g}z", step * static_cast<double>(i), height, -h, step - gap, h);
  }
  return path;
}

double clamped(double share) { return share >= 0 ? std::min(share, 1.0) : 0; }

}  // namespace

std::vector<double> merged(const std::vector<double>& heights, std::size_t most) {
  const std::size_t group = std::max<std::size_t>((heights.size() + most - 1) / most, 1);
  std::vector<double> sums((heights.size() + group - 1) / group);
  for (std::size_t i = 0; i < heights.size(); ++i) sums[i / group] += heights[i];
  return sums;
}

std::string figure(const Histogram& histogram) {
  constexpr double width = 300;
  constexpr double height = 70;
  return fmt::format(
      "<figure><figcaption>{}</figcaption><svg width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">"
      "<path class=\"mark\" d=\"{}\"/><path class=\"base\" d=\"M0 {}H{}\"/><text x=\"0\" y=\"{}\">{}</text>"
      "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text></svg></figure>\n",
      escape(histogram.caption), width, height + 15, width, height + 15, escape(histogram.caption),
      bars_path(histogram.heights, width, height), height, width, height + 12, escape(histogram.first), width, height + 12,
      escape(histogram.last));
}

std::string sparkline(const std::vector<double>& heights) {
  return fmt::format("<svg width=\"96\" height=\"18\" viewBox=\"0 0 96 18\" aria-hidden=\"true\"><path class=\"mark\" d=\"{}\"/></svg>",
                     bars_path(heights, 96, 18));
}

std::string bar(double share, const char* kind) {
  return fmt::format(
      "<svg width=\"{0}\" height=\"10\" viewBox=\"0 0 {0} 10\" aria-hidden=\"true\"><rect class=\"{1}\" width=\"{2:.4g}\" height=\"10\" "
      "rx=\"2\"/></svg>",
      kBarWidth, kind, kBarWidth * clamped(share));
}

std::string two_bars(double original, double now) {
  return fmt::format(
      "<svg width=\"{0}\" height=\"13\" viewBox=\"0 0 {0} 13\" aria-hidden=\"true\"><rect class=\"other\" width=\"{1:.4g}\" height=\"6\" "
      "rx=\"1\"/><rect class=\"mark\" y=\"7\" width=\"{2:.4g}\" height=\"6\" rx=\"1\"/></svg>",
      kBarWidth, kBarWidth * clamped(original), kBarWidth * clamped(now));
}

}  // namespace halftone::report
