#include <memory>

#include <halftone/eval.hpp>

#include "api/backends.hpp"
#include "base/fail.hpp"
#include "command.hpp"
#include "eval_report.hpp"
#include "not_negative.hpp"
#include "output.hpp"
#include "report/eval_page.hpp"
#include "signals.hpp"
#include "text_file.hpp"

namespace halftone::tool {
namespace {

struct Arguments {
  std::string file;
  EvaluateOptions options;
  std::string source;
  std::string activations;
  std::string statistics;
  std::optional<std::string> html;
  bool force = false;
};

void run(const Arguments& arguments, Session& session) {
  EvaluateOptions options = arguments.options;
  options.source = arguments.source;
  options.activations = arguments.activations;
  options.statistics = arguments.statistics;
  api::check_device_name(options.device);
  std::optional<TextFile> page;
  if (arguments.force && !arguments.html) fail(ErrorKind::usage, "--force has no effect without --html");
  if (arguments.html) {
    page = TextFile{*arguments.html, arguments.force, {arguments.file, arguments.source}};
    if (!arguments.activations.empty()) page->inputs.emplace_back(arguments.activations);
    if (!arguments.statistics.empty()) page->inputs.emplace_back(arguments.statistics);
    check(*page);
  }
  stop_on_signals(session.control);
  const Evaluation evaluation = evaluate_model(arguments.file, options, session.control);
  if (page) write(*page, report::eval_page(evaluation, arguments.file, arguments.source));
  if (session.json) {
    auto json = evaluation_json(evaluation);
    json["file"] = arguments.file;
    json["source"] = arguments.source;
    print_json(json);
  } else {
    write_out(evaluation_text(evaluation));
  }
}

}  // namespace

void add_eval(CLI::App& app, Session& session) {
  CLI::App* command =
      add_command(app, session, "eval", "Measure what quantization lost: weights, outputs of layers, and what to do about it.",
                  "halftone eval flux1-dev-nvfp4.safetensors --source flux1-dev.safetensors --html report.html");
  const auto arguments = std::make_shared<Arguments>();
  EvaluateOptions& options = arguments->options;
  command->add_option("file", arguments->file, "a .safetensors file, a shard index (.json), or a folder")->required()->type_name("FILE");
  command->add_option("--source", arguments->source, "the original")->required()->type_name("ORIGINAL");
  command->add_option("--activations", arguments->activations, "inputs of layers, '<layer>.input' (default: random ones)")
      ->type_name("FILE");
  command->add_option("--stats", arguments->statistics, "statistics of layers' inputs: errors of outputs by them, and advice")
      ->type_name("FILE");
  CLI::Option* inputs =
      command->add_option("--inputs", options.inputs, "random inputs for each layer; 0: outputs are not measured (default 32)");
  inputs->type_name("N")->check(CLI::Range(0, 65536));
  CLI::Option* seed = command->add_option("--seed", options.seed, "of the random inputs")->type_name("N")->check(not_negative());
  command->add_flag("--ops", options.time, "also the time of each layer's product against BF16");
  command->add_option("--advise", options.advised, "layers for which other formats are tried, the worst first (default 5)")
      ->type_name("N")
      ->check(CLI::Range(0, 1000000));
  command->add_option("--html", arguments->html, "also write a page")->type_name("REPORT");
  command->add_flag("--force", arguments->force, "replace an existing page");
  command->add_option("--device", options.device, "that multiplies: cpu, cuda or auto (default cpu)")->type_name("DEVICE");
  command->add_option("--threads", options.threads, "worker threads (default: one per core)")->type_name("N")->check(CLI::Range(1, 1024));
  command->callback([arguments, inputs, seed, &session] {
    const bool random = arguments->activations.empty();
    if (!random && inputs->count() != 0) fail(ErrorKind::usage, "--inputs has no effect with --activations");
    if (!random && seed->count() != 0) fail(ErrorKind::usage, "--seed has no effect with --activations");
    if (arguments->options.inputs == 0 && seed->count() != 0) fail(ErrorKind::usage, "--seed has no effect with --inputs 0");
    run(*arguments, session);
  });
}

}  // namespace halftone::tool
