#include "conversion_options.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <sstream>

#include "api/backends.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "choose.hpp"
#include "driver_environment.hpp"
#include "io/mapped_file.hpp"
#include "io/paths.hpp"

namespace halftone::tool {

namespace fs = std::filesystem;

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream stream(list);
  for (std::string word; std::getline(stream, word, ',');) {
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

std::string stem_of(const fs::path& input) {
  std::string name = input.filename().string();
  for (const std::string_view suffix : {".index.json", ".json", ".safetensors"}) {
    if (name.size() > suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0) {
      name.resize(name.size() - suffix.size());
    }
  }
  return name;
}

fs::path named_input(const fs::path& input) { return io::is_folder(input) ? io::resolved(input) : input; }

namespace {

/// The output's name without its extension, whatever it is; a number behind a dot ("flux1.5") is none.
std::string stem_of_output(const fs::path& output) {
  const std::string stem = stem_of(output);
  const std::string extension = fs::path(stem).extension().string();
  const bool is_word = extension.size() > 1 && std::isalpha(static_cast<unsigned char>(extension[1])) != 0;
  return stem != output.filename().string() || !is_word ? stem : output.stem().string();
}

bool takes_group_sizes(const FormatDescriptor& format) { return !format.facts().group_sizes.empty(); }

/// Whether --container has an effect on a format.
bool has_bnb_form(const FormatDescriptor& format) { return find_format(std::string(format.name()) + "-bnb") != nullptr; }

/// "nf4 and fp4", for help texts.
std::string formats_that(bool (*are)(const FormatDescriptor&)) {
  std::vector<std::string_view> names;
  for (const FormatDescriptor* format : all_formats()) {
    if (are(*format)) names.push_back(format->name());
  }
  return fmt::format("{}", fmt::join(names, " and "));
}

/// How the file `output` is cut.
Sharding sharding(const std::string& size, const fs::path& output) {
  const auto bytes = base::parse_bytes(size);
  if (!bytes || *bytes == 0) fail(ErrorKind::usage, "--shard-size takes a size, for example 5GB, not '{}'", size);
  return {*bytes, stem_of_output(output)};
}

}  // namespace

std::string formats_with_bnb_form() { return formats_that(has_bnb_form); }

Target target_named(const std::string& word) {
  static const std::map<std::string, Target> targets = {{"comfyui", Target::comfyui}, {"none", Target::none}};
  return choose(targets, word, "--target");
}

void RunArguments::add_files_to(CLI::App& command, const std::string& suffix) {
  command.add_option("input", input, "a .safetensors file, a shard index (.json), or a folder")->required()->type_name("IN");
  command
      .add_option_function<std::string>(
          "-o,--output",
          [this](const std::string& text) {
            output = text;
            output_given = true;
          },
          fmt::format("output file (default: <stem>-{}.safetensors beside the input)", suffix))
      ->type_name("OUT");
  command.add_option("--threads", threads, "worker threads (default: one per core)")->type_name("N")->check(CLI::Range(1, 1024));
  command.add_option("--memory", memory, fmt::format("host memory beyond the page cache (default {})", memory))->type_name("SIZE");
  command.add_flag("--force", force, "replace an existing output");
}

void RunArguments::add_to(CLI::App& command, const std::string& suffix) {
  add_files_to(command, suffix);
  command.add_option("--device", device, fmt::format("auto, cpu, cuda, or GPUs as in cuda:0,1 (default {})", device))->type_name("DEVICE");
  command.add_option("--device-memory", device_memory, "memory of each GPU that may be used (default: most of what is free)")
      ->type_name("SIZE");
}

RunOptions RunArguments::run_options() const {
  const auto bytes = base::parse_bytes(memory);
  constexpr std::uint64_t smallest = 16 << 20;
  constexpr std::uint64_t smallest_device = 64 << 20;
  if (!bytes || *bytes < smallest) fail(ErrorKind::usage, "--memory takes a size of at least 16MiB, for example 64MiB, not '{}'", memory);
  std::uint64_t device_bytes = 0;
  if (!device_memory.empty()) {
    const auto wanted = base::parse_bytes(device_memory);
    if (!wanted || *wanted < smallest_device) {
      fail(ErrorKind::usage, "--device-memory takes a size of at least 64MiB, for example 2GiB, not '{}'", device_memory);
    }
    if (device == "cpu") fail(ErrorKind::usage, "--device-memory has no effect with --device cpu");
    device_bytes = *wanted;
  }
  return {.threads = threads,
          .memory_bytes = *bytes,
          .replace = force,
          .device = device,
          .device_memory_bytes = device_bytes,
          .before_gpus = [](const std::vector<int>& ordinals) { hide_gpus_behind(ordinals); }};
}

fs::path RunArguments::output_path(const std::string& suffix) const {
  if (!output.empty()) return output;
  if (output_given) fail(ErrorKind::usage, "-o takes a file name, not an empty text");
  const fs::path path = named_input(input);
  return path.parent_path() / fmt::format("{}-{}.safetensors", stem_of(path), suffix);
}

void ConversionArguments::add_to(CLI::App& command) {
  run.add_to(command, "<format>");
  command.add_option("--format", format, "output format; 'halftone formats' lists them (required, unless --like is given)")
      ->type_name("FORMAT");
  command.add_option("--like", like, "a quantized model whose layers say what format those of the same name get")->type_name("OTHER");
  command.add_option("--block-size", block_size, "elements of a block, or on each side of a square one")
      ->type_name("N")
      ->check(CLI::Range(1, 65536));
  command.add_option("--rotation-group", rotation_group, "columns rotated together, for rotated formats")
      ->type_name("N")
      ->check(CLI::Range(1, 65536));
  command.add_option("--rotation", rotation, fmt::format("always, or auto: only where it loses less (default {})", rotation))
      ->type_name("WHEN");
  command
      .add_option("--group-size", group_size, fmt::format("elements of a row that share a scale, for {}", formats_that(takes_group_sizes)))
      ->type_name("N")
      ->check(CLI::Range(1, 65536));
  command.add_option("--container", container, fmt::format("layout of {}: ctq or bnb (default ctq)", formats_with_bnb_form()))
      ->type_name("NAME");
  command.add_flag("--double-quant", double_quant,
                   fmt::format("quantize the scales, too, for {} with --container bnb", formats_with_bnb_form()));
  command.add_option("--indivisible", indivisible, "layers that the block size or rotation group does not divide: error, keep, plain")
      ->type_name("WHAT");
  command.add_option("--preset", preset, fmt::format("auto, none, or names with commas (default {})", preset))->type_name("NAME");
  command.add_option("--include", include, "quantize only layers that match (repeatable)")->type_name("REGEX")->allow_extra_args(false);
  command.add_option("--exclude", exclude, "keep layers that match (repeatable)")->type_name("REGEX")->allow_extra_args(false);
  command.add_option("--heur", heuristic, "keep layers too small or oblong to gain; --heur=divisible: only indivisible ones")
      ->type_name("[=RULE]");
  command.add_option("--rules", rules_files, "file of ordered rules, decided before everything else (repeatable)")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command.add_flag("--allow-unused", allow_unused, "rules and patterns may match nothing");
  command.add_option("--scales", scales, fmt::format("absmax, or search for the scales of least squared error (default {})", scales))
      ->type_name("METHOD");
  learn.add_to(command);
  command.add_option("--lora-output", lora_output, "file of the LoRA (default: the output's name with '-lora')")->type_name("FILE");
  command.add_option("--target", target, fmt::format("loader that must run the output: comfyui or none (default {})", target))
      ->type_name("LOADER");
  command.add_option("--shard-size", shard_size, "write files of at most so many bytes of tensors, and their index")->type_name("SIZE");
  command.add_flag("--quant-metadata", quant_metadata, "also describe the layers in the header (_quantization_metadata)");
  command.add_flag("--input-scale", input_scale, "write an activation scale of 1.0 for each FP8 layer");
  command.add_flag("--full-precision-mm", full_precision_mm, "ask the loader to multiply in full precision");
  command.add_flag("--verify", verify, "check the finished file before it gets its name; 'plan' has none to check");
  command.add_flag("--resume", resume, "go on where the same conversion was interrupted, and be able to again; 'plan' writes nothing");
}

/// --container bnb means the form of the format that ends in "-bnb".
const FormatDescriptor* ConversionArguments::chosen_format() const {
  if (format.empty() && !like) fail(ErrorKind::usage, "--format is missing");
  if (format.empty() && !container.empty()) fail(ErrorKind::usage, "--container has no effect without --format");
  if (format.empty()) return nullptr;
  const FormatDescriptor& named = format_named(format);
  if (container.empty()) return &named;
  const std::string containers = choose<std::string>({{"ctq", ""}, {"bnb", "-bnb"}}, container, "--container");
  if (!has_bnb_form(named)) fail(ErrorKind::usage, "--container has no effect on {}", format);
  return &format_named(format + containers);
}

fs::path ConversionArguments::output_path() const {
  const FormatDescriptor* chosen = chosen_format();
  return run.output_path(chosen != nullptr ? std::string(chosen->name()) : "quantized");
}

RunOptions ConversionArguments::run_options() const {
  RunOptions options = run.run_options();
  options.kept_files.assign(rules_files.begin(), rules_files.end());
  options.lora_output = lora_path();
  options.verify = verify;
  options.resume = resume;
  return options;
}

fs::path ConversionArguments::lora_path() const {
  if (lora_output && !learn.lora_rank) fail(ErrorKind::usage, "--lora-output has no effect without --extract-lora");
  if (!learn.lora_rank) return {};
  if (lora_output && lora_output->empty()) fail(ErrorKind::usage, "--lora-output takes a file name, not an empty text");
  return lora_output ? fs::path(*lora_output) : default_lora_path();
}

fs::path ConversionArguments::default_lora_path() const {
  const fs::path output = output_path();
  return output.parent_path() / (stem_of_output(output) + "-lora.safetensors");
}

void ConversionArguments::note_old_lora(Plan& plan) const {
  const fs::path path = default_lora_path();
  std::error_code ignored;
  if (plan.lora || !fs::exists(path, ignored)) return;
  plan.notes.push_back(fmt::format("'{}' was there before and does not belong to this output, which has no LoRA", path.string()));
}

PlanOptions ConversionArguments::plan_options() const {
  static const std::map<std::string, Indivisible> indivisibles = {
      {"error", Indivisible::error}, {"keep", Indivisible::keep}, {"plain", Indivisible::plain}};
  static const std::map<std::string, Rotation> rotations = {{"always", Rotation::always}, {"auto", Rotation::automatic}};
  static const std::map<std::string, Heuristic> heuristics = {{"size", Heuristic::size}, {"divisible", Heuristic::divisible}};
  static const std::map<std::string, ScaleMethod> methods = {{"absmax", ScaleMethod::absmax}, {"search", ScaleMethod::search}};
  PlanOptions options;
  const fs::path output = output_path();
  std::ignore = lora_path();  // what is wrong with it is said before any work
  options.spec = {chosen_format(), block_size,  full_precision_mm, input_scale, rotation_group, choose(methods, scales, "--scales"),
                  group_size,      double_quant};
  if (like) options.like = read_example(*like);
  options.rotation = choose(rotations, rotation, "--rotation");
  if (!indivisible.empty()) options.indivisible = choose(indivisibles, indivisible, "--indivisible");
  if (!heuristic.empty()) options.heuristic = choose(heuristics, heuristic, "--heur");
  options.target = target_named(target);
  options.presets = split(preset);
  if (options.presets.empty()) fail(ErrorKind::usage, "--preset takes auto, none or names, not an empty text");
  options.include = include;
  options.exclude = exclude;
  for (const auto* patterns : {&include, &exclude}) {
    if (std::find(patterns->begin(), patterns->end(), "") == patterns->end()) continue;
    fail(ErrorKind::usage, "{} takes a regular expression, not an empty text", patterns == &include ? "--include" : "--exclude");
  }
  options.allow_unused = allow_unused;
  options.quant_metadata = quant_metadata;
  learn.apply_to(options);
  if (shard_size) options.sharding = sharding(*shard_size, output);
  for (const std::string& path : rules_files) {
    std::error_code ignored;
    if (fs::equivalent(path, output, ignored))
      fail(ErrorKind::same_file, "the output '{}' is the rules file itself; choose another name", output.string());
    std::vector<Rule> rules = parse_rules(io::text_of_file(path), fs::path(path).filename().string());
    options.rules.insert(options.rules.end(), std::make_move_iterator(rules.begin()), std::make_move_iterator(rules.end()));
  }
  return options;
}

std::vector<NamedOption> deciding_options(const CLI::App& command) {
  // Where and how fast a conversion runs, and what it prints.
  static const std::set<std::string> others = {"input",     "--output",        "--threads",     "--memory", "--force",
                                               "--device",  "--device-memory", "--lora-output", "--verify", "--resume",
                                               "--dry-run", "--quiet",         "--json"};
  std::vector<NamedOption> named;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    if (option->count() == 0 || others.contains(name)) continue;
    named.push_back({name, fmt::format("{}", fmt::join(option->results(), " "))});
  }
  return named;
}

}  // namespace halftone::tool
