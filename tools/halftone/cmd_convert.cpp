#include <memory>

#include "command.hpp"
#include "conversion_options.hpp"
#include "output.hpp"
#include "plan_command.hpp"
#include "run_report.hpp"

namespace halftone::tool {

void add_convert(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "convert", "Quantize a model into one safetensors file.",
                                  "halftone convert flux1-dev.safetensors --format fp8");
  const auto arguments = std::make_shared<ConversionArguments>();
  const auto dry_run = std::make_shared<bool>(false);
  arguments->add_to(*command);
  command->add_flag("--dry-run", *dry_run, "decide everything, write nothing (the same as 'plan')");
  command->add_flag("--quiet", session.quiet, "no progress on stderr");
  command->callback([arguments, dry_run, command, &session] {
    if (*dry_run) return report_plan(*arguments, session, false);
    const PlanOptions options = arguments->plan_options();
    const auto output = arguments->output_path();
    run_and_report(session, arguments->run, output, [&](const RunOptions&) {
      RunOptions run = arguments->run_options();
      run.named_options = deciding_options(*command);
      if (!session.quiet) run.tell = [](const std::string& sentence) { write_message(sentence); };
      RunReport report = convert(arguments->run.input, output, options, run, session.control);
      arguments->note_old_lora(report.plan);
      return report;
    });
  });
}

}  // namespace halftone::tool
