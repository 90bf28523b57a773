#include "api/verify_output.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "api/backends.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "io/model_files.hpp"
#include "verify/verify_files.hpp"

namespace halftone::api {

void check_verifiable(const Plan& plan, Target target) {
  if (!plan.shards.empty()) fail(ErrorKind::usage, "--verify takes one output file, not shards; halftone verify reads their index");
  for (const Decision& decision : plan.decisions) {
    if (target != Target::comfyui || decision.action != Action::quantize || !decision.spec.format->facts().needs_custom_node) continue;
    fail(ErrorKind::usage,
         "--verify checks for ComfyUI, and {} is loaded by {}, not by ComfyUI alone; --target none verifies without a loader",
         decision.spec.format->name(), decision.spec.format->facts().loaders);
  }
}

namespace {

/// What learned rounding has added to the squared error of a layer, it was asked to.
double tolerance_for(const RunReport& report) {
  double most = 1.0;
  for (const LearnedLayer& layer : report.learned) most = std::max(most, layer.squared_error_ratio.value_or(1.0));
  for (const Job& job : report.plan.jobs) {
    // The codes stand for another weight then.
    if (job.learn && job.learn->statistics.cross_moment) return std::numeric_limits<double>::infinity();
  }
  return VerifyOptions().tolerance_db + 10 * std::log10(most);
}

}  // namespace

Verification verify_output(const io::OutputFile& file, const RunReport& report, const std::filesystem::path& input, Target target,
                           unsigned threads, const RunControl& control) {
  const auto backend = open_backend("cpu");
  const io::ModelFiles written(file.partial_path(), report.plan.output);
  const eval::FloatModel original(input, *backend);
  Verification verification = verify::verify_files(written, &original, *backend,
                                                   {.target = target, .threads = threads, .tolerance_db = tolerance_for(report)}, control);
  for (const Finding& finding : verification.findings) {
    if (finding.severity != Finding::Severity::problem) continue;
    const std::uint64_t more = verification.count(Finding::Severity::problem) - 1;
    fail(ErrorKind::verification, "the output '{}' does not pass its verification and is not kept: {}{}{}{}", file.path().string(),
         finding.layer, finding.layer.empty() ? "" : ": ", finding.text,
         more == 0 ? "" : fmt::format(" (and {})", base::counted(more, "more problem")));
  }
  return verification;
}

}  // namespace halftone::api
