#include "api/measured_plan.hpp"

#include <algorithm>

#include "api/backends.hpp"
#include "api/fitting_backend.hpp"
#include "exec/rotation_errors.hpp"
#include "formats/layer_names.hpp"
#include "formats/quant_spec.hpp"
#include "plan/layer_statistics.hpp"
#include "plan/rotation.hpp"

namespace halftone::api {
namespace {

constexpr std::uint64_t kBandBytes = 1 << 20;

/// Whether `backend` computes both forms of the layer of `job`.
bool takes(const Backend& backend, const Job& job) {
  return can_quantize(backend, job, job.spec).ok && can_quantize(backend, job, formats::plain_form(job.spec)).ok;
}

/// As many threads as the memory has room for, at least one.
unsigned affordable_threads(const Job& job, const RunOptions& options) {
  const std::uint64_t decoded = job.stored ? 2 * kBandBytes : 0;
  const std::uint64_t room = options.memory_bytes / (exec::rotation_errors_memory(job) + decoded);
  return static_cast<unsigned>(std::clamp<std::uint64_t>(room, 1, threads_of(options)));
}

/// What the layers of `plan` whose rotation is in question lose with it and without it, one layer after the other.
std::map<std::string, RotationErrors> measured(const Plan& plan, const PlanOptions& options, const PlanSources& from) {
  const std::vector<const Job*> jobs = plan::rotation_questions(plan);
  std::map<std::string, RotationErrors> errors;
  if (jobs.empty()) return errors;
  const Backend* backend = &from.backend();
  std::unique_ptr<Backend> processor;
  if (!std::all_of(jobs.begin(), jobs.end(), [&](const Job* job) { return takes(*backend, *job); })) {
    processor = open_backend("cpu");
    backend = processor.get();
  }
  const exec::Context context{plan, from.files, *backend, {}, from.statistics, {}, nullptr, from.control, kBandBytes, 1};
  std::uint64_t total = 0;
  for (const Job* job : jobs) total += element_count(weight_shape(*job)) * bits_of(source_dtype(*job)) / 8;
  from.control.done_bytes = 0;
  from.control.total_bytes = total;
  for (const Job* job : jobs) {
    const std::string& tensor = job->inputs[0].info.name;
    LayerStatistics statistics;
    if (options.statistics) {
      statistics = plan::find_statistics(*options.statistics, formats::base_name(tensor), weight_shape(*job)[1]);
    }
    const std::vector<float> weights = exec::mean_squares(statistics, context);
    errors.emplace(tensor, exec::rotation_errors(*job, formats::plain_form(job->spec), weights, context,
                                                 affordable_threads(*job, from.options), from.control));
  }
  from.files.check();
  return errors;
}

}  // namespace

Plan plan_of(const PlanOptions& options, const PlanSources& from) {
  const ModelIndex& model = from.files.index();
  const SideTexts texts = from.files.side_texts();
  if (options.rotation == Rotation::always) return build_plan(model, texts, options);
  // What is wrong with the options is said before any weight is read.
  const Plan rotated = build_plan(model, texts, options);
  PlanOptions chosen = options;
  chosen.rotation_errors = measured(rotated, options, from);
  return build_plan(model, texts, chosen);
}

}  // namespace halftone::api
