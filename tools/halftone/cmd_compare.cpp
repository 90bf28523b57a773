#include <memory>
#include <thread>

#include <halftone/compare.hpp>

#include "base/text.hpp"
#include "command.hpp"
#include "figures_json.hpp"
#include "output.hpp"

namespace halftone::tool {
namespace {

using nlohmann::ordered_json;

struct Arguments {
  std::string original;
  std::vector<std::string> others;
  unsigned threads = 0;
};

ordered_json comparison_json(const Comparison& comparison) {
  ordered_json json = {{"file", comparison.other.string()}, {"layers", ordered_json::array()}};
  for (const TensorComparison& layer : comparison.layers) {
    ordered_json entry = {{"name", layer.name}, {"stored", layer.stored}};
    const ordered_json figures = figures_json(layer.figures);
    for (const auto& [key, value] : figures.items()) entry[key] = layer.comparable ? value : ordered_json(nullptr);
    json["layers"].push_back(std::move(entry));
  }
  json["total"] = figures_json(comparison.total);
  if (comparison.total.elements == 0) {
    for (auto& figure : json["total"]) figure = nullptr;  // nothing was measured
  }
  json["identical"] = comparison.identical;
  json["only_original"] = comparison.only_original;
  json["only_other"] = comparison.only_other;
  return json;
}

std::string comparison_text(const Comparison& comparison) {
  std::string text = fmt::format("{}\n", base::printable(comparison.other.string()));
  const auto line = [](std::string_view name, std::string_view stored, const ErrorFigures& f) {
    return fmt::format("{:>8.2f} {:>10.7f} {:>10.3e} {:>10.3e} {:>9.3e}  {:<10} {}\n", f.sqnr_db(), f.cosine(), f.max_abs, f.mse(),
                       f.rel_l2(), stored, name);
  };
  if (!comparison.layers.empty()) {
    text += fmt::format("{:>8} {:>10} {:>10} {:>10} {:>9}  {:<10} {}\n", "SQNR dB", "cosine", "max |e|", "MSE", "rel L2", "stored as",
                        "tensor");
    for (const TensorComparison& layer : comparison.layers) {
      text += layer.comparable ? line(base::printable(layer.name), layer.stored, layer.figures)
                               : fmt::format("{:>51}  {:<10} {}\n", "not comparable", layer.stored, base::printable(layer.name));
    }
    text += comparison.total.elements != 0 ? line("all of these together", "total", comparison.total)
                                           : fmt::format("{:>51}  total\n", "nothing was comparable");
  }
  text += fmt::format("{} {} identical", base::counted(comparison.identical, "tensor"), comparison.identical == 1 ? "is" : "are");
  for (const std::string& name : comparison.only_original) text += fmt::format("\nmissing: {}", base::printable(name));
  for (const std::string& name : comparison.only_other) text += fmt::format("\nadded: {}", base::printable(name));
  return text + "\n";
}

void run(const Arguments& arguments, Session& session) {
  const unsigned threads = arguments.threads != 0 ? arguments.threads : std::max(1U, std::thread::hardware_concurrency());
  ordered_json files = ordered_json::array();
  for (const std::string& other : arguments.others) {
    const Comparison comparison = compare_models(arguments.original, other, threads);
    if (!comparison.equal()) session.exit_code = ExitCode::difference;
    if (session.json) {
      files.push_back(comparison_json(comparison));
    } else {
      write_out(comparison_text(comparison));
    }
  }
  if (!session.json) return;
  ordered_json json = {{"original", arguments.original}, {"layers", files[0]["layers"]}, {"total", files[0]["total"]}};
  json["files"] = std::move(files);
  print_json(json);
}

}  // namespace

void add_compare(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "compare", "Measure the error of other files against an original, tensor by tensor.",
                                  "halftone compare flux1-dev.safetensors flux1-dev-fp8.safetensors");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("original", arguments->original, "the original")->required()->type_name("A");
  command->add_option("others", arguments->others, "files to compare with it")->required()->type_name("B [C …]");
  command->add_option("--threads", arguments->threads, "worker threads (default: one per core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command->callback([arguments, &session] { run(*arguments, session); });
  command->footer(command->get_footer() + "\nExit status: 0 where every tensor is stored alike with equal values, 1 otherwise.");
}

}  // namespace halftone::tool
