#include <halftone/convert.hpp>

#include "api/backends.hpp"
#include "api/measured_plan.hpp"
#include "api/output_names.hpp"
#include "api/run.hpp"
#include "base/fail.hpp"
#include "io/model_files.hpp"
#include "io/paths.hpp"

namespace halftone {

Example read_example(const std::filesystem::path& path) {
  const io::ModelFiles files(path);
  Example example;
  try {
    example = example_of(files.index(), files.side_texts(), path.filename().string());
  } catch (const Error& error) {
    fail(error.kind(), "'{}': {}", path.string(), error.what());
  }
  for (const io::MappedFile& file : files.files()) example.files.push_back(file.path());
  if (io::is_regular_file(path)) example.files.push_back(path);
  return example;
}

Statistics read_statistics(const std::filesystem::path& path) {
  const io::ModelFiles files(path);
  return {path, files.index()};
}

Plan plan_conversion(const std::filesystem::path& input, const PlanOptions& options, const RunOptions& run, RunControl& control) {
  const io::ModelFiles files(input);
  std::optional<io::ModelFiles> statistics;
  if (options.statistics) statistics.emplace(options.statistics->path);
  std::unique_ptr<Backend> opened;
  const std::function<const Backend&()> device = [&]() -> const Backend& {
    if (!opened) opened = api::open_backend(run.device, run.device_memory_bytes);
    return *opened;
  };
  return api::plan_of(options, {files, statistics ? &*statistics : nullptr, device, run, control});
}

Plan plan_conversion(const std::filesystem::path& input, const PlanOptions& options) {
  RunControl control;
  return plan_conversion(input, options, {}, control);
}

RunReport convert(const std::filesystem::path& input, const std::filesystem::path& output, const PlanOptions& options,
                  const RunOptions& run_options, RunControl& control) {
  const RunOptions run = api::keeping_example(run_options, options);
  const api::Planner planner = [&](const api::PlanSources& from) { return api::plan_of(options, from); };
  return api::run(input, output, planner, run, control, run.verify ? std::optional(options.target) : std::nullopt,
                  options.statistics ? options.statistics->path : std::filesystem::path());
}

RunReport dequantize(const std::filesystem::path& input, const std::filesystem::path& output, Dtype dtype, const RunOptions& run_options,
                     RunControl& control) {
  if (run_options.verify) fail(ErrorKind::usage, "only a conversion can be verified");
  api::refuse_journal(run_options);
  const api::Planner planner = [&](const api::PlanSources& from) {
    return build_dequantize_plan(from.files.index(), from.files.side_texts(), dtype);
  };
  return api::run(input, output, planner, run_options, control);
}

}  // namespace halftone
