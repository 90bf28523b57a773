#include "verify_report.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "base/text.hpp"

namespace halftone::tool {
namespace {

using nlohmann::ordered_json;
using Severity = Finding::Severity;

/// JSON has no infinity: the error of equal values becomes null.
ordered_json number(double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr); }

ordered_json layer_json(const VerifiedLayer& layer) {
  ordered_json json = {{"name", layer.name}, {"format", layer.format}, {"sqnr_db", nullptr}, {"expected_sqnr_db", nullptr}};
  if (!layer.error) return json;
  json["sqnr_db"] = number(layer.error->figures.sqnr_db());
  json["expected_sqnr_db"] = number(layer.error->expected.sqnr_db());
  return json;
}

/// Findings of one severity with the same text, and how many there are; in the order of the first of each.
struct Group {
  const Finding* first;
  std::uint64_t count;
};

std::vector<Group> grouped(const std::vector<Finding>& findings, Severity severity) {
  std::vector<Group> groups;
  for (const Finding& finding : findings) {
    if (finding.severity != severity) continue;
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& group) { return group.first->text == finding.text; });
    if (same == groups.end()) {
      groups.push_back({&finding, 1});
    } else {
      ++same->count;
    }
  }
  return groups;
}

std::string line(std::string_view word, const Finding& finding, std::uint64_t count) {
  const std::string more = count > 1 ? fmt::format(" (and {})", base::counted(count - 1, "more layer")) : "";
  return fmt::format("{:<8}{}{}{}{}\n", word, base::printable(finding.layer), finding.layer.empty() ? "" : ": ",
                     base::printable(finding.text), more);
}

}  // namespace

ordered_json verification_json(const Verification& verification) {
  ordered_json json = {{"passed", verification.passed()},
                       {"problems", ordered_json::array()},
                       {"notes", ordered_json::array()},
                       {"layers", ordered_json::array()}};
  for (const Finding& finding : verification.findings) {
    json[finding.severity == Severity::problem ? "problems" : "notes"].push_back({{"layer", finding.layer}, {"text", finding.text}});
  }
  for (const VerifiedLayer& layer : verification.layers) json["layers"].push_back(layer_json(layer));
  return json;
}

std::string verification_text(const Verification& verification, const std::string& file) {
  std::string text;
  for (const Finding& finding : verification.findings) {
    if (finding.severity == Severity::problem) text += line("problem", finding, 1);
  }
  for (const Group& group : grouped(verification.findings, Severity::note)) text += line("note", *group.first, group.count);
  return text + fmt::format("{:<8}{}: {}, {}, {}\n", verification.passed() ? "ok" : "failed", base::printable(file),
                            base::counted(verification.layers.size(), "quantized layer"),
                            base::counted(verification.count(Severity::problem), "problem"),
                            base::counted(verification.count(Severity::note), "note"));
}

}  // namespace halftone::tool
