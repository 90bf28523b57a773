#include <memory>

#include "api/backends.hpp"
#include "api/output_names.hpp"
#include "base/fail.hpp"
#include "output.hpp"
#include "plan_command.hpp"
#include "plan_report.hpp"
#include "progress.hpp"
#include "signals.hpp"

namespace halftone::tool {

void report_plan(const ConversionArguments& arguments, Session& session, bool explain) {
  const RunOptions run = arguments.run_options();
  api::check_device_name(run.device);
  const PlanOptions options = arguments.plan_options();
  stop_on_signals(session.control);
  const Plan plan = [&] {
    const Progress progress(session.control, !session.quiet);
    return plan_conversion(arguments.run.input, options, run, session.control);
  }();
  const auto output = arguments.output_path();
  api::check_planned_output(plan, arguments.run.input, output, options, run);
  const PlanFacts facts{arguments.run.input, output, run.device, run.memory_bytes, run.device_memory_bytes};
  if (session.json) {
    if (explain) fail(ErrorKind::usage, "--explain has no effect with --json, which holds the same");
    print_json(plan_json(plan, facts));
  } else {
    write_out(plan_text(plan, facts, explain));
  }
}

void add_plan(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "plan", "Decide a conversion and print it; write nothing.",
                                  "halftone plan flux1-dev.safetensors --format fp8 --explain");
  const auto arguments = std::make_shared<ConversionArguments>();
  const auto explain = std::make_shared<bool>(false);
  arguments->add_to(*command);
  command->add_flag("--explain", *explain, "every tensor with its action, the rule that decided and its reason");
  // The options are those of convert; these two ask for what a plan is anyway.
  command->add_flag("--quiet", session.quiet, "no progress on stderr");
  command->add_flag("--dry-run")->description("write nothing: a plan never does");
  command->callback([arguments, explain, &session] { report_plan(*arguments, session, *explain); });
}

}  // namespace halftone::tool
