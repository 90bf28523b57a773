#include <memory>

#include "command.hpp"
#include "conversion_options.hpp"
#include "output.hpp"
#include "signals.hpp"
#include "verify_report.hpp"

namespace halftone::tool {
namespace {

struct Arguments {
  std::string file;
  std::string source;
  std::string target = "comfyui";
  unsigned threads = 0;
  double tolerance = VerifyOptions().tolerance_db;
};

void run(const Arguments& arguments, Session& session) {
  const VerifyOptions options{.target = target_named(arguments.target),
                              .source = arguments.source,
                              .threads = arguments.threads,
                              .tolerance_db = arguments.tolerance};
  stop_on_signals(session.control);
  const Verification verification = verify_model(arguments.file, options, session.control);
  if (!verification.passed()) session.exit_code = ExitCode::difference;
  if (session.json) {
    auto json = verification_json(verification);
    json["file"] = arguments.file;
    print_json(json);
  } else {
    write_out(verification_text(verification, arguments.file));
  }
}

}  // namespace

void add_verify(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "verify", "Check that a loader runs a quantized file, and that its numbers hold.",
                                  "halftone verify flux1-dev-fp8.safetensors --source flux1-dev.safetensors");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file, "a .safetensors file, a shard index (.json), or a folder")->required()->type_name("FILE");
  command->add_option("--source", arguments->source, "the original, with which every quantized layer is compared")->type_name("ORIGINAL");
  command
      ->add_option("--target", arguments->target,
                   fmt::format("loader that must run the file: comfyui or none (default {})", arguments->target))
      ->type_name("LOADER");
  command
      ->add_option("--tolerance", arguments->tolerance,
                   "dB by which a layer's error may exceed that of its format (default 1.5; learned rounding with statistics takes some 3)")
      ->type_name("DB")
      ->check(CLI::Range(0.0, 1000.0));
  command->add_option("--threads", arguments->threads, "worker threads (default: one per core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command->callback([arguments, &session] { run(*arguments, session); });
  command->footer(command->get_footer() + "\nExit status: 0 where nothing is wrong, 1 where there are problems.");
}

}  // namespace halftone::tool
