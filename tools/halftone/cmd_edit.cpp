#include <memory>

#include <halftone/edit.hpp>

#include "base/fail.hpp"
#include "command.hpp"
#include "conversion_options.hpp"
#include "run_report.hpp"

namespace halftone::tool {
namespace {

/// The options of edit, as text.
struct EditArguments {
  RunArguments run;
  EditOptions options;
  std::vector<std::string> set_metadata;  ///< KEY=VALUE
  std::vector<std::string> rename;        ///< REGEX=REPLACEMENT
  bool dry_run = false;

  void add_to(CLI::App& command);
  /// Throws usage.
  [[nodiscard]] EditOptions edit_options() const;
};

/// The texts before and after the first '='.
std::pair<std::string, std::string> halves(const std::string& text, const char* option, const char* form) {
  const std::size_t at = text.find('=');
  if (at == std::string::npos) fail(ErrorKind::usage, "{} takes {}, not '{}'", option, form, text);
  return {text.substr(0, at), text.substr(at + 1)};
}

void EditArguments::add_to(CLI::App& command) {
  run.add_files_to(command, "edited");
  const auto add_list = [&](const char* name, std::vector<std::string>& list, const char* help, const char* type) {
    command.add_option(name, list, help)->type_name(type)->allow_extra_args(false);
  };
  add_list("--set-metadata", set_metadata, "set an entry of the metadata (repeatable)", "KEY=VALUE");
  add_list("--remove-metadata", options.remove_metadata, "remove an entry of the metadata (repeatable)", "KEY");
  add_list("--drop", options.drop, "leave out tensors that match (repeatable)", "REGEX");
  command.add_option("--strip-prefix", options.strip_prefix, "take this from the names that begin with it")->type_name("P");
  add_list("--rename", rename, "replace every match in the names (repeatable)", "REGEX=REPLACEMENT");
  command.add_option("--add-prefix", options.add_prefix, "put this in front of every name")->type_name("P");
  add_list("--full-precision-mm", options.full_precision_mm, "ask the loader to multiply these layers in full precision (repeatable)",
           "REGEX");
  add_list("--no-full-precision-mm", options.no_full_precision_mm, "withdraw that (repeatable)", "REGEX");
  command.add_flag("--dry-run", dry_run, "decide everything, write nothing");
}

EditOptions EditArguments::edit_options() const {
  EditOptions chosen = options;
  std::set<std::string> keys;
  for (const std::string& text : set_metadata) {
    chosen.set_metadata.push_back(halves(text, "--set-metadata", "KEY=VALUE"));
    const std::string& key = chosen.set_metadata.back().first;
    if (!keys.insert(key).second) fail(ErrorKind::usage, "--set-metadata gives '{}' two values", key);
  }
  for (const std::string& text : rename) {
    auto [regex, replacement] = halves(text, "--rename", "REGEX=REPLACEMENT");
    chosen.rename.push_back({std::move(regex), std::move(replacement)});
  }
  return chosen;
}

}  // namespace

void add_edit(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "edit", "Change names, metadata and labels; the bytes of the weights stay.",
                                  "halftone edit flux1-dev-fp8.safetensors --add-prefix model.diffusion_model.");
  const auto arguments = std::make_shared<EditArguments>();
  arguments->add_to(*command);
  command->add_flag("--quiet", session.quiet, "no progress on stderr");
  command->callback([arguments, &session] {
    const EditOptions options = arguments->edit_options();
    const auto output = arguments->run.output_path("edited");
    if (arguments->dry_run) return report_dry_run(session, arguments->run, output, plan_edit(arguments->run.input, options));
    run_and_report(session, arguments->run, output,
                   [&](const RunOptions& run) { return edit(arguments->run.input, output, options, run, session.control); });
  });
}

}  // namespace halftone::tool
