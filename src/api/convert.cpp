#include <halftone/convert.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <thread>

#include "api/backends.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "exec/executor.hpp"
#include "io/model_files.hpp"
#include "io/output_file.hpp"
#include "verify/verify_files.hpp"

namespace halftone {
namespace {

/// Why `backend` cannot run `plan`; empty where it can.
std::string obstacle_to(const Plan& plan, const Backend& backend) {
  for (const Job& job : plan.jobs) {
    if (job.stored) {
      if (const Support support = backend.supports(job.stored->spec, Dtype::F32); !support) return support.reason;
    }
    if (job.kind != JobKind::quantize) continue;
    const Dtype source = job.stored ? Dtype::F32 : job.inputs[0].info.dtype;
    if (const Support support = backend.supports(job.spec, source); !support) return support.reason;
  }
  return {};
}

/// The backend that `opened` is, or the processor where that was chosen automatically and cannot run the plan.
std::unique_ptr<Backend> fitting_backend(std::unique_ptr<Backend> opened, const Plan& plan, const std::string& device) {
  const std::string obstacle = obstacle_to(plan, *opened);
  if (obstacle.empty()) return opened;
  if (device == "auto") return api::open_backend("cpu");
  fail(ErrorKind::unsupported, "--device {}: {}; --device auto and --device cpu convert on the processor", device, obstacle);
}

/// Refuses before any work what the target is known not to load.
void refuse_unloadable(const Plan& plan, Target target) {
  for (const Decision& decision : plan.decisions) {
    if (target != Target::comfyui || decision.action != Action::quantize || !decision.spec.format->facts().needs_custom_node) continue;
    fail(ErrorKind::usage,
         "--verify checks for ComfyUI, and {} is loaded by {}, not by ComfyUI alone; --target none verifies without a loader",
         decision.spec.format->name(), decision.spec.format->facts().loaders);
  }
}

/// Checks the finished but unnamed `file` for `target` and against its input.  Throws verification.
Verification verify_output(const io::OutputFile& file, const Plan& plan, const std::filesystem::path& input, Target target,
                           unsigned threads, const RunControl& control) {
  const auto backend = api::open_backend("cpu");
  const io::ModelFiles written(file.partial_path(), plan.output);
  const eval::FloatModel original(input, *backend);
  Verification verification = verify::verify_files(written, &original, *backend, target, threads, control);
  for (const Finding& finding : verification.findings) {
    if (finding.severity != Finding::Severity::problem) continue;
    const std::uint64_t more = verification.count(Finding::Severity::problem) - 1;
    fail(ErrorKind::verification, "the output '{}' does not pass its verification and is not kept: {}{}{}{}", file.path().string(),
         finding.layer, finding.layer.empty() ? "" : ": ", finding.text,
         more == 0 ? "" : fmt::format(" (and {})", base::counted(more, "more problem")));
  }
  return verification;
}

using Planner = std::function<Plan(const ModelIndex&, const SideTexts&)>;

RunReport run(const std::filesystem::path& input, const std::filesystem::path& output, const Planner& planner, const RunOptions& options,
              RunControl& control, std::optional<Target> verified_for = std::nullopt) {
  const auto start = std::chrono::steady_clock::now();
  // A device takes a while to start: meanwhile the headers are read and the plan is made.
  auto opening = std::async(std::launch::async, [&] { return api::open_backend(options.device, options.device_memory_bytes); });
  const io::ModelFiles files(input);
  RunReport report{.plan = planner(files.index(), files.side_texts()), .device = {}};
  if (verified_for) refuse_unloadable(report.plan, *verified_for);
  const auto backend = fitting_backend(opening.get(), report.plan, options.device);
  io::OutputFile file({.path = output,
                       .head = serialize(report.plan.output),
                       .n_bytes = report.plan.output_bytes(),
                       .replace = options.replace,
                       .inputs = files.ids()});
  control.total_bytes = report.plan.output.data_bytes();
  report.device = backend->name();
  const unsigned threads = options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  exec::run_jobs(report.plan, files, *backend, file, {threads, options.memory_bytes}, control);
  if (verified_for) report.verification = verify_output(file, report.plan, input, *verified_for, threads, control);
  file.commit();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace

Plan plan_conversion(const std::filesystem::path& input, const PlanOptions& options) {
  const io::ModelFiles files(input);
  return build_plan(files.index(), files.side_texts(), options);
}

RunReport convert(const std::filesystem::path& input, const std::filesystem::path& output, const PlanOptions& options,
                  const RunOptions& run_options, RunControl& control) {
  const Planner planner = [&](const ModelIndex& model, const SideTexts& texts) { return build_plan(model, texts, options); };
  return run(input, output, planner, run_options, control, run_options.verify ? std::optional(options.target) : std::nullopt);
}

RunReport dequantize(const std::filesystem::path& input, const std::filesystem::path& output, Dtype dtype, const RunOptions& run_options,
                     RunControl& control) {
  if (run_options.verify) fail(ErrorKind::usage, "only a conversion can be verified");
  const Planner planner = [&](const ModelIndex& model, const SideTexts& texts) { return build_dequantize_plan(model, texts, dtype); };
  return run(input, output, planner, run_options, control);
}

}  // namespace halftone
