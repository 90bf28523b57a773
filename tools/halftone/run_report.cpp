#include "run_report.hpp"

#include <algorithm>

#include "api/output_names.hpp"
#include "api/resume.hpp"
#include "base/text.hpp"
#include "learn_report.hpp"
#include "output.hpp"
#include "plan_report.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "verify_report.hpp"

namespace halftone::tool {
namespace {

/// Whether the report has an entry `learned`, be it of no layer.
bool reports_learned(const Plan& plan) { return plan.learns || api::learns(plan); }

nlohmann::ordered_json resumption_json(const Resumption& found) {
  return {{"jobs", found.jobs},
          {"jobs_kept", found.jobs_kept},
          {"jobs_redone", found.jobs_redone},
          {"kept_bytes", found.kept_bytes},
          {"learned_before", found.layers_kept}};
}

std::string resumption_text(const Resumption& found) {
  const std::string redone =
      found.jobs_redone == 0 ? ""
                             : fmt::format("; {} done again, whose bytes were not as recorded", base::counted(found.jobs_redone, "job"));
  const std::string learned = found.layers_kept == 0 ? "" : fmt::format("; {} had been learned", base::counted(found.layers_kept, "layer"));
  return fmt::format("resumed {} of {} kept, {}{}{}\n", found.jobs_kept, base::counted(found.jobs, "job"),
                     base::human_bytes(found.kept_bytes), redone, learned);
}

}  // namespace

void report_dry_run(const Session& session, const RunArguments& arguments, const std::filesystem::path& output, const Plan& plan) {
  const RunOptions options = arguments.run_options();
  if (!plan.up_to_date) api::check_planned_output(plan, arguments.input, output, {}, options);  // else nothing is written
  const PlanFacts facts{arguments.input, output, options.device, options.memory_bytes, options.device_memory_bytes};
  if (session.json) {
    print_json(plan_json(plan, facts));
  } else {
    write_out(plan_text(plan, facts, false));
  }
}

void run_and_report(Session& session, const RunArguments& arguments, const std::filesystem::path& output,
                    const std::function<RunReport(const RunOptions&)>& work) {
  const RunOptions options = arguments.run_options();
  stop_on_signals(session.control);
  std::uint64_t peak_bytes = 0;
  RunReport report;
  {
    Progress progress(session.control, !session.quiet);
    report = work(options);
    peak_bytes = progress.peak_anonymous_bytes();
  }
  if (report.plan.up_to_date) return report_dry_run(session, arguments, output, report.plan);
  const PlanFacts facts{arguments.input, output, report.device, options.memory_bytes, options.device_memory_bytes};
  if (session.json) {
    auto json = plan_json(report.plan, facts);
    if (report.verification) json["verification"] = verification_json(*report.verification);
    if (reports_learned(report.plan)) json["learned"] = learned_json(report.learned);
    if (report.plan.lora) json["lora"] = {{"file", report.lora_output.string()}, {"bytes", report.plan.lora->file_bytes()}};
    if (report.resumption) json["resumption"] = resumption_json(*report.resumption);
    json["seconds"] = report.seconds;
    if (report.foreseen_seconds) json["eta_s"] = *report.foreseen_seconds;
    json["peak_host_bytes"] = peak_bytes;
    print_json(json);
    return;
  }
  const double rate = static_cast<double>(report.plan.input_bytes) / 1e9 / report.seconds;
  const std::string verified = report.verification ? verification_text(*report.verification, output_of(report.plan, output).string()) : "";
  const std::string resumed = report.resumption ? resumption_text(*report.resumption) : "";
  const std::string lora = report.plan.lora ? fmt::format("lora    {}, {}\n", base::printable(report.lora_output.string()),
                                                          base::human_bytes(report.plan.lora->file_bytes()))
                                            : "";
  print("{}{}{}{}{}done    {:.2f} s on {}, {:.2f} GB/s of input, {} of memory at most\n", plan_text(report.plan, facts, false),
        learned_text(report.learned), lora, resumed, verified, report.seconds, report.device, rate, base::human_bytes(peak_bytes));
}

}  // namespace halftone::tool
