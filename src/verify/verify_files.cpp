#include "verify/verify_files.hpp"

#include <algorithm>
#include <optional>

#include "base/parallel.hpp"
#include "verify/comfyui.hpp"
#include "verify/contents.hpp"
#include "verify/labels.hpp"
#include "verify/layer_reading.hpp"
#include "verify/layers.hpp"
#include "verify/values.hpp"

namespace halftone {

std::uint64_t Verification::count(Finding::Severity severity) const noexcept {
  return static_cast<std::uint64_t>(
      std::count_if(findings.begin(), findings.end(), [&](const Finding& finding) { return finding.severity == severity; }));
}

namespace verify {
namespace {

/// The texts of the model; a text too long to be one is a finding.
SideTexts texts_of(const io::ModelFiles& files, Findings& findings) {
  try {
    return files.side_texts();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_quantization) throw;
    findings.problem("", error.what());
    return {};
  }
}

/// What is found in one layer.
struct LayerResult {
  Findings findings;
  std::optional<LayerError> error;
};

LayerResult verify_layer(const Sources& sources, const formats::QuantizedLayer& layer) {
  LayerResult result;
  check_values(sources.files, layer, result.findings);
  // Numbers that are none spoil every sum.
  if (layer.readable && result.findings.all().empty()) result.error = read_layer(sources, layer, result.findings);
  return result;
}

}  // namespace

Verification verify_files(const io::ModelFiles& files, const eval::FloatModel* original, const Backend& backend,
                          const VerifyOptions& options, const RunControl& control, const LearnedNoises& learned) {
  Findings findings;
  const SideTexts texts = texts_of(files, findings);
  const Contents contents(files.index(), texts, findings);
  check_labels(contents, findings);
  check_layers(contents, findings);
  check_strays(contents, findings);
  if (options.target == Target::comfyui) {
    check_comfyui(contents, findings);
    note_slow_layers(contents, findings);
  }
  if (contents.layers.empty()) findings.note("", "no layer is quantized");
  const Sources sources{files, backend, original, control.stop, options.tolerance_db, learned};
  std::vector<LayerResult> results(contents.layers.size());
  base::parallel_for(results.size(), options.threads, [&](std::size_t i) { results[i] = verify_layer(sources, contents.layers[i]); });
  files.check();
  if (original != nullptr) original->files().check();
  Verification verification;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const formats::QuantizedLayer& layer = contents.layers[i];
    verification.layers.push_back({layer.base, layer.format_name(), results[i].error});
    std::move(results[i].findings.all().begin(), results[i].findings.all().end(), std::back_inserter(findings.all()));
  }
  verification.findings = std::move(findings.all());
  std::stable_sort(verification.findings.begin(), verification.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.layer < b.layer; });
  return verification;
}

}  // namespace verify
}  // namespace halftone
