#include "api/run.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "api/device_start.hpp"
#include "api/fitting_backend.hpp"
#include "api/job_journal.hpp"
#include "api/output_names.hpp"
#include "api/outputs.hpp"
#include "api/resume.hpp"
#include "api/verify_output.hpp"
#include "base/fail.hpp"
#include "exec/executor.hpp"
#include "io/model_files.hpp"

namespace halftone::api {
namespace {

/// What fills the output.
struct Sources {
  const io::ModelFiles& files;
  const Backend& backend;
  const RunOptions& options;
  std::optional<Target> verified_for;
  const io::ModelFiles* statistics;  ///< null without
};

/// Runs the jobs of `report.plan`, and verifies what they wrote where that is asked for.
void fill(Outputs& outputs, const Sources& from, RunControl& control, exec::JobLog* log, RunReport& report) {
  const RunOptions& options = from.options;
  control.total_bytes = report.plan.output.data_bytes();
  report.device = from.backend.name();
  const unsigned threads = threads_of(options);
  report.learned = exec::run_jobs(report.plan, from.files, from.statistics, from.backend, outputs.files(), {threads, options.memory_bytes},
                                  control, log);
  if (std::string failed = from.backend.failed_device(); !failed.empty()) report.plan.notes.push_back(std::move(failed));
  if (!from.verified_for) return;
  report.verification = verify_output(outputs.files(), report, from.files.path(), *from.verified_for, threads, control);
}

/// The same under a journal: after an error, the partial files and the journal stay for a run that resumes this one.
void fill_with_journal(OpenedJournal& opened, Outputs& outputs, const Sources& from, RunControl& control, RunReport& report) {
  opened.start();
  outputs.keep(true);
  try {
    JobJournal log(opened.journal, report.plan, outputs.files());
    fill(outputs, from, control, &log, report);
    log.finish();
    if (from.options.resume) report.resumption = log.found();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) {
      fail(ErrorKind::interrupted, "interrupted; the same command with --resume goes on where '{}' ends", opened.journal.path().string());
    }
    const ExitCode code = exit_code_of(error.kind());
    const bool asked_for = from.options.journal || from.options.resume;
    // What does not pass now would not pass again.
    if (code == ExitCode::difference || (code == ExitCode::bad_input && !asked_for)) {
      outputs.keep(false);
      opened.journal.remove();
    }
    throw;
  }
}

/// What is said of a run whose output another has completed.
RunReport complete_already(OpenedJournal& opened, std::string_view device, const RunOptions& options, RunReport report) {
  report.device = device;
  if (report.plan.lora) report.lora_output = options.lora_output;
  Resumption& found = report.resumption.emplace();
  for (std::size_t i = 0; i < report.plan.jobs.size(); ++i) {
    if (!report.plan.jobs[i].learn) continue;
    ++found.layers_kept;
    if (auto layer = learned_layer(opened.journal, report.plan, i)) report.learned.push_back(std::move(*layer));
  }
  found.jobs = found.jobs_kept = report.plan.jobs.size();
  found.kept_bytes = report.plan.output.data_bytes();
  opened.journal.remove();
  return report;
}

}  // namespace

RunReport run(const std::filesystem::path& input, const std::filesystem::path& output, const Planner& planner, const RunOptions& options,
              RunControl& control, std::optional<Target> verified_for, const std::filesystem::path& statistics) {
  const auto start = std::chrono::steady_clock::now();
  DeviceStart starting(options);
  const io::ModelFiles files(input);
  std::optional<io::ModelFiles> learned_from;
  if (!statistics.empty()) learned_from.emplace(statistics);
  const std::function<const Backend&()> device = [&]() -> const Backend& { return starting.for_plan(); };
  RunReport report{.plan = planner({files, learned_from ? &*learned_from : nullptr, device, options, control}), .device = {}};
  if (report.plan.up_to_date) return report;
  starting.begin_for(report.plan);
  if (verified_for) check_verifiable(report.plan, *verified_for);
  const std::vector<io::FileId> kept = kept_files(files, learned_from ? &*learned_from : nullptr, options);
  check_output_names(report.plan, output, options.lora_output, kept);
  refuse_to_lose(output, options);
  std::optional<OpenedJournal> journal;
  std::unique_ptr<Backend> backend;
  if (options.journal || options.resume || learns(report.plan)) {
    backend = fitting_backend(starting.take(), report.plan, options.device);
    journal.emplace(output, report.plan, RunSources{files, learned_from ? &*learned_from : nullptr, std::string(backend->product())},
                    options);
  }
  if (journal && journal->is_complete) {
    if (verified_for)
      report.plan.notes.emplace_back("the output was complete already and is not verified now; 'halftone verify' does that");
    return complete_already(*journal, backend->name(), options, std::move(report));
  }
  // The output may get its memory while a device is still starting.
  Outputs outputs(report.plan, {output, options.lora_output, options.replace, journal && journal->resumes, kept});
  if (!backend) backend = fitting_backend(starting.take(), report.plan, options.device);
  const Sources from{files, *backend, options, verified_for, learned_from ? &*learned_from : nullptr};
  if (journal) {
    fill_with_journal(*journal, outputs, from, control, report);
  } else {
    io::remove_journal(journal_path(output));  // of a run that this one does not go on with
    fill(outputs, from, control, nullptr, report);
  }
  outputs.commit();
  report.plan.notes.insert(report.plan.notes.end(), outputs.notes().begin(), outputs.notes().end());
  if (std::string unused = starting.unused(report.plan); !unused.empty() && backend->kind() == DeviceKind::gpu) {
    report.plan.notes.push_back(std::move(unused));
  }
  if (report.plan.lora) report.lora_output = options.lora_output;
  if (journal) journal->journal.remove();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (const std::uint64_t foreseen = control.first_foreseen_end_ns; foreseen != 0) {
    report.foreseen_seconds = std::chrono::duration<double>(std::chrono::nanoseconds(foreseen) - start.time_since_epoch()).count();
  }
  return report;
}

unsigned threads_of(const RunOptions& options) {
  return options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
}

void refuse_journal(const RunOptions& options) {
  if (options.journal || options.resume) fail(ErrorKind::usage, "only a conversion can be resumed");
}

RunReport run_on_cpu(const std::filesystem::path& input, const std::filesystem::path& output, const Planner& planner, RunOptions options,
                     RunControl& control) {
  refuse_journal(options);
  options.device = "cpu";
  options.device_memory_bytes = 0;
  return run(input, output, planner, options, control);
}

}  // namespace halftone::api
