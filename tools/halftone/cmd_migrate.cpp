#include <memory>

#include <halftone/migrate.hpp>

#include "choose.hpp"
#include "command.hpp"
#include "conversion_options.hpp"
#include "run_report.hpp"

namespace halftone::tool {
namespace {

/// The options of migrate, as text; empty where not given.
struct MigrateArguments {
  RunArguments run;
  std::string input_scale;
  std::string hybrid;
  std::string container;
  bool dry_run = false;

  void add_to(CLI::App& command);
  /// Throws usage.
  [[nodiscard]] MigrateOptions migrate_options() const;
};

void MigrateArguments::add_to(CLI::App& command) {
  run.add_files_to(command, "migrated");
  command.add_option("--input-scale", input_scale, "activation scales: add those of 1.0 that are missing, or remove all")
      ->type_name("WHAT");
  command.add_option("--hybrid", hybrid, "the scale per tensor beside the scales of mxfp8: add or remove")->type_name("WHAT");
  command.add_option("--container", container, fmt::format("layout of {} layers: ctq or bnb", formats_with_bnb_form()))->type_name("NAME");
  command.add_flag("--dry-run", dry_run, "decide everything, write nothing");
}

MigrateOptions MigrateArguments::migrate_options() const {
  static const std::map<std::string, Presence> presences = {{"add", Presence::add}, {"remove", Presence::remove}};
  static const std::map<std::string, Container> containers = {{"ctq", Container::ctq}, {"bnb", Container::bnb}};
  MigrateOptions options;
  if (!input_scale.empty()) options.input_scale = choose(presences, input_scale, "--input-scale");
  if (!hybrid.empty()) options.hybrid = choose(presences, hybrid, "--hybrid");
  if (!container.empty()) options.container = choose(containers, container, "--container");
  return options;
}

}  // namespace

void add_migrate(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "migrate", "Bring older layouts up to date, without quantizing again.",
                                  "halftone migrate t5xxl_fp8_e4m3fn_scaled.safetensors");
  const auto arguments = std::make_shared<MigrateArguments>();
  arguments->add_to(*command);
  command->add_flag("--quiet", session.quiet, "no progress on stderr");
  command->callback([arguments, &session] {
    const MigrateOptions options = arguments->migrate_options();
    const auto output = arguments->run.output_path("migrated");
    if (arguments->dry_run) return report_dry_run(session, arguments->run, output, plan_migration(arguments->run.input, options));
    run_and_report(session, arguments->run, output,
                   [&](const RunOptions& run) { return migrate(arguments->run.input, output, options, run, session.control); });
  });
}

}  // namespace halftone::tool
