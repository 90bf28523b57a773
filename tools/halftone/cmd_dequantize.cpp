#include <map>
#include <memory>

#include "base/fail.hpp"
#include "command.hpp"
#include "conversion_options.hpp"
#include "run_report.hpp"

namespace halftone::tool {
namespace {

struct Arguments {
  RunArguments run;
  std::string dtype = "bf16";
};

Dtype dtype_named(const std::string& name) {
  static const std::map<std::string, Dtype> dtypes = {{"f32", Dtype::F32}, {"bf16", Dtype::BF16}, {"f16", Dtype::F16}};
  const auto found = dtypes.find(name);
  if (found == dtypes.end()) fail(ErrorKind::usage, "--dtype takes f32, bf16 or f16, not '{}'", name);
  return found->second;
}

}  // namespace

void add_dequantize(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "dequantize", "Turn every quantized layer back into floats.",
                                  "halftone dequantize flux1-dev-fp8.safetensors --dtype bf16");
  const auto arguments = std::make_shared<Arguments>();
  arguments->run.add_to(*command, "<dtype>");
  command->add_option("--dtype", arguments->dtype, fmt::format("f32, bf16 or f16 (default {})", arguments->dtype))->type_name("TYPE");
  command->add_flag("--quiet", session.quiet, "no progress on stderr");
  command->callback([arguments, &session] {
    const Dtype dtype = dtype_named(arguments->dtype);
    const auto output = arguments->run.output_path(arguments->dtype);
    run_and_report(session, arguments->run, output,
                   [&](const RunOptions& run) { return dequantize(arguments->run.input, output, dtype, run, session.control); });
  });
}

}  // namespace halftone::tool
