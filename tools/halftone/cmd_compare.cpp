#include <cmath>
#include <memory>
#include <optional>
#include <thread>

#include <halftone/compare.hpp>

#include "base/decibels.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "command.hpp"
#include "figures_json.hpp"
#include "io/model_files.hpp"
#include "output.hpp"
#include "report/compare_page.hpp"
#include "text_file.hpp"

namespace halftone::tool {
namespace {

using nlohmann::ordered_json;

struct Arguments {
  std::string original;
  std::vector<std::string> others;
  std::optional<std::string> html;
  bool force = false;
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
    const std::string cosine = std::isfinite(f.cosine()) ? fmt::format("{:.7f}", f.cosine()) : "-";
    return fmt::format("{:>8} {:>10} {:>10} {:>10} {:>9}  {:<10} {}\n", base::decibel_figure(f.sqnr_db()), cosine,
                       base::scientific(f.max_abs, 3), base::scientific(f.mse(), 3), base::scientific(f.rel_l2(), 3), stored, name);
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

/// "B", "C", …; numbers behind "Z".
std::string label_of(std::size_t file) { return file < 25 ? std::string(1, static_cast<char>('B' + file)) : fmt::format("{}", file + 2); }

std::string cell_text(const report::ComparisonRow& row, std::size_t file) {
  constexpr int width = 21;
  if (row.is_missing[file]) return fmt::format("{:<{}}", " missing", width);
  const TensorComparison* tensor = row.cells[file];
  if (tensor == nullptr) return fmt::format("{:<{}}", "       =", width);
  if (!tensor->comparable) return fmt::format("{:<{}}", fmt::format("       ? {}", tensor->stored), width);
  return fmt::format("{:>8} {:<12}", base::decibel_figure(tensor->figures.sqnr_db()), tensor->stored);
}

/// What a file has of all tensors that differ somewhere.
std::string total_cell(const Comparison& file) {
  if (file.layers.empty() && file.only_original.empty()) return fmt::format("{:>9}{:<12}", "identical", "");
  return fmt::format("{:>8} {:<12}", file.total.elements != 0 ? base::decibel_figure(file.total.sqnr_db()) : "-", "total");
}

/// Several files in one table: the SQNR of each tensor, and how it is stored.
std::string table_text(const std::vector<Comparison>& files, const std::vector<std::uint64_t>& bytes) {
  std::string text;
  std::string head;
  std::string total;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const Comparison& file = files[i];
    text += fmt::format("{:<2} {:>10}  {}: {} identical, {} missing\n", label_of(i), base::human_bytes(bytes[i + 1]),
                        base::printable(file.other.string()), base::counted(file.identical, "tensor"), file.only_original.size());
    for (const std::string& name : file.only_other) text += fmt::format("   added: {}\n", base::printable(name));
    head += fmt::format("{:<21}", fmt::format("{:>2} SQNR", label_of(i)));
    total += total_cell(file);
  }
  text += fmt::format("{} tensor\n", head);
  const std::vector<report::ComparisonRow> rows = report::comparison_rows(files);
  for (const report::ComparisonRow& row : rows) {
    for (std::size_t i = 0; i < files.size(); ++i) text += cell_text(row, i);
    text += fmt::format(" {}\n", base::printable(row.name));
  }
  return text + fmt::format("{} {}\n", total, rows.empty() ? "every tensor" : "all of these together");
}

/// Sizes of the original and of the others.
std::vector<std::uint64_t> sizes_of(const Arguments& arguments) {
  std::vector<std::uint64_t> bytes = {io::ModelFiles(arguments.original).index().file_bytes()};
  for (const std::string& other : arguments.others) bytes.push_back(io::ModelFiles(other).index().file_bytes());
  return bytes;
}

ordered_json files_json(const Arguments& arguments, const std::vector<Comparison>& files) {
  ordered_json entries = ordered_json::array();
  for (const Comparison& file : files) entries.push_back(comparison_json(file));
  ordered_json json = {{"original", arguments.original}, {"layers", entries[0]["layers"]}, {"total", entries[0]["total"]}};
  json["files"] = std::move(entries);
  return json;
}

void run(const Arguments& arguments, Session& session) {
  const unsigned threads = arguments.threads != 0 ? arguments.threads : std::max(1U, std::thread::hardware_concurrency());
  std::optional<TextFile> page;
  if (arguments.force && !arguments.html) fail(ErrorKind::usage, "--force has no effect without --html");
  if (arguments.html) {
    page = TextFile{*arguments.html, arguments.force, {arguments.original}};
    page->inputs.insert(page->inputs.end(), arguments.others.begin(), arguments.others.end());
    check(*page);
  }
  std::vector<Comparison> files;
  for (const std::string& other : arguments.others) {
    files.push_back(compare_models(arguments.original, other, threads));
    if (!files.back().equal()) session.exit_code = ExitCode::difference;
  }
  const std::vector<std::uint64_t> bytes = sizes_of(arguments);
  if (page) write(*page, report::compare_page(arguments.original, files, bytes));
  if (session.json) {
    print_json(files_json(arguments, files));
  } else {
    write_out(files.size() == 1 ? comparison_text(files[0]) : table_text(files, bytes));
  }
}

}  // namespace

void add_compare(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "compare", "Measure the error of other files against an original, tensor by tensor.",
                                  "halftone compare flux1-dev.safetensors flux1-dev-fp8.safetensors");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("original", arguments->original, "the original")->required()->type_name("A");
  command->add_option("others", arguments->others, "files to compare with it")->required()->type_name("B [C …]");
  command->add_option("--html", arguments->html, "also write a page with all files side by side")->type_name("REPORT");
  command->add_flag("--force", arguments->force, "replace an existing page");
  command->add_option("--threads", arguments->threads, "worker threads (default: one per core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command->callback([arguments, &session] { run(*arguments, session); });
  command->footer(command->get_footer() + "\nExit status: 0 where every tensor is stored alike with equal values, 1 otherwise.");
}

}  // namespace halftone::tool
