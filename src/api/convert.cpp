#include <halftone/convert.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <thread>

#include "api/backends.hpp"
#include "exec/executor.hpp"
#include "io/model_files.hpp"
#include "io/output_file.hpp"

namespace halftone {
namespace {

using Planner = std::function<Plan(const ModelIndex&, const SideTexts&)>;

RunReport run(const std::filesystem::path& input, const std::filesystem::path& output, const Planner& planner, const RunOptions& options,
              RunControl& control) {
  const auto start = std::chrono::steady_clock::now();
  // A device takes a while to start: meanwhile the headers are read and the plan is made.
  auto opening = std::async(std::launch::async, [&] { return api::open_backend(options.device, options.device_memory_bytes); });
  const io::ModelFiles files(input);
  RunReport report{.plan = planner(files.index(), files.side_texts()), .device = {}};
  const auto backend = opening.get();
  io::OutputFile file({.path = output,
                       .head = serialize(report.plan.output),
                       .n_bytes = report.plan.output_bytes(),
                       .replace = options.replace,
                       .inputs = files.ids()});
  control.total_bytes = report.plan.output.data_bytes();
  report.device = backend->name();
  const unsigned threads = options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  exec::run_jobs(report.plan, files, *backend, file, {threads, options.memory_bytes}, control);
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
  return run(input, output, planner, run_options, control);
}

RunReport dequantize(const std::filesystem::path& input, const std::filesystem::path& output, Dtype dtype, const RunOptions& run_options,
                     RunControl& control) {
  const Planner planner = [&](const ModelIndex& model, const SideTexts& texts) { return build_dequantize_plan(model, texts, dtype); };
  return run(input, output, planner, run_options, control);
}

}  // namespace halftone
