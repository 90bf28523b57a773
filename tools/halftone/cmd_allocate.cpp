#include <cmath>
#include <memory>
#include <set>

#include <halftone/allocate.hpp>

#include "allocation_report.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "choose.hpp"
#include "command.hpp"
#include "conversion_options.hpp"
#include "output.hpp"
#include "signals.hpp"
#include "text_file.hpp"

namespace halftone::tool {
namespace {

struct Arguments {
  std::string input;
  std::string output;
  std::string formats;
  std::optional<std::string> target_size;
  std::optional<double> min_sqnr;
  std::optional<double> max_output_error;
  std::string statistics;
  std::string balance = "weights";
  std::string scales = "absmax";
  std::string preset = "auto";
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::string target = "comfyui";
  unsigned threads = 0;
  bool force = false;
};

AllocateOptions options_of(const Arguments& arguments) {
  static const std::map<std::string, Balance> balances = {{"weights", Balance::weights}, {"layers", Balance::layers}};
  static const std::map<std::string, ScaleMethod> methods = {{"absmax", ScaleMethod::absmax}, {"search", ScaleMethod::search}};
  AllocateOptions options;
  std::set<std::string> seen;
  for (const std::string& word : split(arguments.formats)) {
    if (!seen.insert(word).second) fail(ErrorKind::usage, "--formats has '{}' twice", word);
    if (word == "keep") {
      options.keep = true;
    } else {
      options.formats.push_back(&format_named(word));
    }
  }
  if (options.formats.empty()) fail(ErrorKind::usage, "--formats takes formats with commas, for example nvfp4,fp8,keep");
  if (arguments.target_size) {
    options.target_bytes = base::parse_bytes(*arguments.target_size);
    if (!options.target_bytes || *options.target_bytes == 0) {
      fail(ErrorKind::usage, "--target-size takes a size, for example 6GB, not '{}'", *arguments.target_size);
    }
  }
  for (const auto& number : {arguments.min_sqnr, arguments.max_output_error}) {
    if (number && !std::isfinite(*number)) fail(ErrorKind::usage, "--min-sqnr and --max-output-error take finite numbers");
  }
  options.min_sqnr_db = arguments.min_sqnr;
  options.max_output_error = arguments.max_output_error;
  options.statistics = arguments.statistics;
  options.balance = choose(balances, arguments.balance, "--balance");
  options.scales = choose(methods, arguments.scales, "--scales");
  options.threads = arguments.threads;
  options.plan.presets = split(arguments.preset);
  if (options.plan.presets.empty()) fail(ErrorKind::usage, "--preset takes auto, none or names, not an empty text");
  options.plan.include = arguments.include;
  options.plan.exclude = arguments.exclude;
  options.plan.target = target_named(arguments.target);
  return options;
}

std::filesystem::path output_path(const Arguments& arguments) {
  if (!arguments.output.empty()) return arguments.output;
  const std::filesystem::path input = named_input(arguments.input);
  return input.parent_path() / (stem_of(input) + "-rules.json");
}

/// `word` as a shell takes it for one argument.
std::string quoted(const std::string& word) {
  static constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+,:=@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// The conversion that the rules are made for.
std::string conversion_of(const Arguments& arguments, const AllocateOptions& options, const Allocation& allocation,
                          const std::filesystem::path& rules) {
  std::string line = fmt::format("halftone convert {} --format {} --rules {}", quoted(arguments.input), options.formats.front()->name(),
                                 quoted(rules.string()));
  if (allocation.scales == ScaleMethod::search) line += " --scales search";
  if (allocation.search_heeds_statistics) line += fmt::format(" --stats {}", quoted(arguments.statistics));
  if (arguments.preset != "auto") line += fmt::format(" --preset {}", quoted(arguments.preset));
  for (const std::string& pattern : arguments.include) line += fmt::format(" --include {}", quoted(pattern));
  for (const std::string& pattern : arguments.exclude) line += fmt::format(" --exclude {}", quoted(pattern));
  if (arguments.target != "comfyui") line += fmt::format(" --target {}", quoted(arguments.target));
  return line;
}

void run(const Arguments& arguments, Session& session) {
  const AllocateOptions options = options_of(arguments);
  TextFile file{output_path(arguments), arguments.force, {arguments.input}};
  if (!arguments.statistics.empty()) file.inputs.emplace_back(arguments.statistics);
  check(file);
  stop_on_signals(session.control);
  const Allocation allocation = allocate_formats(arguments.input, options, session.control);
  write(file, allocation.rules);
  const AllocationFacts facts{arguments.input,
                              file.path,
                              conversion_of(arguments, options, allocation, file.path),
                              !arguments.statistics.empty(),
                              options.target_bytes,
                              options.min_sqnr_db,
                              options.max_output_error,
                              options.balance};
  if (session.json) {
    print_json(allocation_json(allocation, facts));
  } else {
    write_out(allocation_text(allocation, facts));
  }
}

void add_goals(CLI::App& command, Arguments& arguments) {
  command.add_option("--formats", arguments.formats, "what layers may become, with commas; 'keep' among them: their precision stays")
      ->required()
      ->type_name("FORMAT,…");
  command.add_option("--target-size", arguments.target_size, "the least error in an output of at most so many bytes")->type_name("SIZE");
  command.add_option("--min-sqnr", arguments.min_sqnr, "the smallest output whose quantized layers together have so many dB")
      ->type_name("DB");
  command
      .add_option("--max-output-error", arguments.max_output_error,
                  "the smallest output whose quantized layers together have at most this relative error (L2) of outputs")
      ->type_name("E")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--stats", arguments.statistics, "statistics of the layers' inputs: errors are those of outputs")->type_name("FILE");
  command.add_option("--balance", arguments.balance, "what is added up: errors as they are (weights), or relative to each layer (layers)")
      ->type_name("WHAT");
}

}  // namespace

void add_allocate(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "allocate", "Choose a format for each layer by measured errors; write rules for convert.",
                                  "halftone allocate flux1-dev.safetensors --formats nvfp4,int8-convrot,fp8 --target-size 9GB");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("input", arguments->input, "a .safetensors file, a shard index (.json), or a folder")
      ->required()
      ->type_name("ORIGINAL");
  add_goals(*command, *arguments);
  command->add_option("-o,--output", arguments->output, "the rules file (default: <stem>-rules.json beside the original)")
      ->type_name("RULES");
  command->add_flag("--force", arguments->force, "replace an existing rules file");
  command->add_option("--preset", arguments->preset, "auto, none, or names with commas (default auto)")->type_name("NAME");
  command->add_option("--include", arguments->include, "quantize only layers that match (repeatable)")
      ->type_name("REGEX")
      ->allow_extra_args(false);
  command->add_option("--exclude", arguments->exclude, "keep layers that match (repeatable)")->type_name("REGEX")->allow_extra_args(false);
  command->add_option("--scales", arguments->scales, "of the conversion, and so of what is measured: absmax or search (default absmax)")
      ->type_name("METHOD");
  command->add_option("--target", arguments->target, "loader that must run the output: comfyui or none (default comfyui)")
      ->type_name("LOADER");
  command->add_option("--threads", arguments->threads, "worker threads (default: one per core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command->callback([arguments, &session] { run(*arguments, session); });
}

}  // namespace halftone::tool
