#include "api/verify_output.hpp"

#include "api/backends.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "formats/layer_names.hpp"
#include "io/model_files.hpp"
#include "verify/verify_files.hpp"

namespace halftone::api {

void check_verifiable(const Plan& plan, Target target) {
  for (const Decision& decision : plan.decisions) {
    if (target != Target::comfyui || decision.action != Action::quantize || !decision.spec.format->facts().needs_custom_node) continue;
    fail(ErrorKind::usage,
         "--verify checks for ComfyUI, and {} is loaded by {}, not by ComfyUI alone; --target none verifies without a loader",
         decision.spec.format->name(), decision.spec.format->facts().loaders);
  }
}

namespace {

/// What learned rounding was asked to do to layers, and has done.
verify::LearnedNoises noises_of(const RunReport& report) {
  verify::LearnedNoises noises;
  for (const LearnedLayer& layer : report.learned) {
    noises[formats::base_name(layer.tensor)] = {layer.squared_error, layer.target ? layer.target->change : 0};
  }
  return noises;
}

/// The files of the output as they are called until they are complete, with the headers that they will have.
std::vector<io::ModelFiles::Part> parts_of(std::span<io::OutputFile* const> files, const Plan& plan) {
  if (plan.shards.empty()) return {{files[0]->partial_path(), plan.output}};
  std::vector<io::ModelFiles::Part> parts;
  for (std::size_t i = 0; i < plan.shards.size(); ++i) parts.push_back({files[i]->partial_path(), plan.shards[i].header});
  return parts;
}

/// What the output is called: its file, or the index of its shards.
std::string path_of(std::span<io::OutputFile* const> files, const Plan& plan) {
  const std::filesystem::path& first = files[0]->path();
  return plan.shards.empty() ? first.string() : (first.parent_path() / plan.index_name).string();
}

}  // namespace

Verification verify_output(std::span<io::OutputFile* const> files, const RunReport& report, const std::filesystem::path& input,
                           Target target, unsigned threads, const RunControl& control) {
  const auto backend = open_backend("cpu");
  const io::ModelFiles written(parts_of(files, report.plan));
  const eval::FloatModel original(input, *backend);
  Verification verification =
      verify::verify_files(written, &original, *backend, {.target = target, .threads = threads}, control, noises_of(report));
  for (const Finding& finding : verification.findings) {
    if (finding.severity != Finding::Severity::problem) continue;
    const std::uint64_t more = verification.count(Finding::Severity::problem) - 1;
    fail(ErrorKind::verification, "the output '{}' does not pass its verification and is not kept: {}{}{}{}", path_of(files, report.plan),
         finding.layer, finding.layer.empty() ? "" : ": ", finding.text,
         more == 0 ? "" : fmt::format(" (and {})", base::counted(more, "more problem")));
  }
  return verification;
}

}  // namespace halftone::api
