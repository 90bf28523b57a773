#include <memory>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "command.hpp"
#include "conversion_options.hpp"
#include "formats/float_types.hpp"
#include "run_report.hpp"

namespace halftone::tool {
namespace {

struct Arguments {
  RunArguments run;
  std::string dtype = "bf16";
};

std::string target_words() { return base::joined_by_or(formats::target_words()); }

Dtype dtype_named(const std::string& name) {
  if (const auto dtype = formats::target_from_word(name)) return *dtype;
  fail(ErrorKind::usage, "--dtype takes {}, not '{}'", target_words(), name);
}

}  // namespace

void add_dequantize(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "dequantize", "Turn every quantized layer back into floats.",
                                  "halftone dequantize flux1-dev-fp8.safetensors --dtype bf16");
  const auto arguments = std::make_shared<Arguments>();
  arguments->run.add_to(*command, "<dtype>");
  command->add_option("--dtype", arguments->dtype, fmt::format("{} (default {})", target_words(), arguments->dtype))->type_name("TYPE");
  command->add_flag("--quiet", session.quiet, "no progress on stderr");
  command->callback([arguments, &session] {
    const Dtype dtype = dtype_named(arguments->dtype);
    const auto output = arguments->run.output_path(arguments->dtype);
    run_and_report(session, arguments->run, output,
                   [&](const RunOptions& run) { return dequantize(arguments->run.input, output, dtype, run, session.control); });
  });
}

}  // namespace halftone::tool
