#include <map>
#include <memory>
#include <optional>

#include <halftone/bench.hpp>

#include "base/fail.hpp"
#include "base/strict_json.hpp"
#include "choose.hpp"
#include "command.hpp"
#include "io/mapped_file.hpp"
#include "linear_bench_report.hpp"
#include "output.hpp"

namespace halftone::tool {
namespace {

/// The kernels that are timed; none for linear layers, which are timed in another way.
const std::map<std::string, std::optional<BenchedOps>> kOps = {
    {"all", BenchedOps::all}, {"formats", BenchedOps::formats}, {"optimizer", BenchedOps::optimizer}, {"linear", std::nullopt}};

/// Shares of a copy, in percent, that an earlier run printed with --json; by kernel, format and types.
class Baseline {
 public:
  Baseline() = default;
  explicit Baseline(const std::string& path) {
    const std::string text = io::text_of_file(path);
    const auto document = base::parse_json<nlohmann::ordered_json>(text, ErrorKind::usage, fmt::format("--baseline {}", path));
    const auto kernels = document.find("kernels");
    if (kernels == document.end() || !kernels->is_array())
      fail(ErrorKind::usage, "--baseline {}: this is no output of 'halftone bench --json'", path);
    for (const auto& row : *kernels) {
      if (row.is_object() && row.contains("percent_of_copy")) shares_[key_of(row)] = row["percent_of_copy"].get<double>();
    }
  }

  [[nodiscard]] std::optional<double> share(const nlohmann::ordered_json& row) const {
    const auto found = shares_.find(key_of(row));
    return found == shares_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  static std::string key_of(const nlohmann::ordered_json& row) {
    std::string key;
    for (const char* part : {"kernel", "format", "source", "target"}) key += row.value(part, std::string()) + "/";
    return key;
  }

  std::map<std::string, double> shares_;
};

/// Prints each figure beside the copy's, the limit, and beside the baseline's.
class BenchReport {
 public:
  BenchReport(bool json, Baseline baseline) : json_(json), baseline_(std::move(baseline)) {}

  void add(const KernelTime& time) {
    if (time.kernel == "copy") copy_ = time.gigabytes_per_second();
    const double share = time.gigabytes_per_second() / copy_ * 100;
    rows_.push_back({{"kernel", time.kernel},
                     {"format", time.format},
                     {"source", time.source},
                     {"target", time.target},
                     {"seconds", time.seconds},
                     {"bytes", time.bytes},
                     {"gb_per_s", time.gigabytes_per_second()},
                     {"percent_of_copy", share}});
    const auto before = baseline_.share(rows_.back());
    if (before) rows_.back()["baseline_percent_of_copy"] = *before;
    if (before && share < *before - kTolerance) ++slower_;
    if (json_) return;
    print("{:<17}{:<11}{:<5} {:<8} {:9.1f} us {:8.0f} GB/s {:6.1f} % of a copy{}\n", time.kernel, time.format, time.source, time.target,
          time.seconds * 1e6, time.gigabytes_per_second(), share, before ? fmt::format(", baseline {:.1f} %", *before) : std::string());
  }

  /// Kernels whose share fell by more than runs differ by.
  [[nodiscard]] int slower() const { return slower_; }

  void finish(const KernelBenchOptions& options) const {
    if (json_) print_json({{"rows", options.rows}, {"columns", options.columns}, {"kernels", rows_}});
  }

 private:
  /// What two runs on one device differ by, in percent of a copy.
  static constexpr double kTolerance = 5.0;

  bool json_;
  Baseline baseline_;
  int slower_ = 0;
  double copy_ = 0;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
};

/// The products that models of today are made of, and one row of inputs.
constexpr const char* kDefaultShapes = "8192x8192x8192,4096x12288x3072,4096x3072x3072,256x3072x3072,1x12288x4096";

/// What --ops linear takes besides the options of the kernels.
struct LinearArguments {
  std::string shapes = kDefaultShapes;
  std::vector<std::string> formats;
};

void bench_linear_layers(const KernelBenchOptions& kernels, const LinearArguments& arguments, bool json) {
  LinearBenchOptions options{.device = kernels.device, .formats = arguments.formats, .shapes = parse_shapes(arguments.shapes)};
  LinearBenchReport report(json);
  bench_linear(options, [&](const LinearTime& time) { report.add(time); });
  report.finish();
}

}  // namespace

void add_bench(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "bench", "Time the kernels of a GPU against a copy within its memory.", "halftone bench");
  const auto options = std::make_shared<KernelBenchOptions>();
  command->add_option("--device", options->device, "which GPU, as in cuda:1 (default: the first)")->type_name("DEVICE");
  command->add_option("--rows", options->rows, fmt::format("of the weight (default {})", options->rows))
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--columns", options->columns, fmt::format("of the weight (default {})", options->columns))
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20));
  const auto ops = std::make_shared<std::string>("all");
  CLI::Option* choice =
      command->add_option("--ops", *ops, "what is timed: all, formats, optimizer, or linear, layers instead of kernels (default all)")
          ->type_name("OPS");
  command->add_option("--repeats", options->repeats, fmt::format("timed launches of each kernel (default {})", options->repeats))
      ->type_name("N")
      ->check(CLI::Range(1, 10000));
  const auto baseline = std::make_shared<std::string>();
  command->add_option("--baseline", *baseline, "output of an earlier run with --json; a kernel that lost 5 % of a copy gives exit status 1")
      ->type_name("FILE");
  const auto linear = std::make_shared<LinearArguments>();
  command->add_option("--shapes", linear->shapes, "rows of inputs x rows of the weight x columns, of --ops linear")
      ->type_name("MxNxK,...")
      ->needs(choice);
  command->add_option("--formats", linear->formats, "of --ops linear (default all)")
      ->type_name("FORMAT,...")
      ->delimiter(',')
      ->needs(choice);
  command->callback([options, ops, baseline, linear, &session] {
    const std::optional<BenchedOps> kernels = choose(kOps, *ops, "--ops");
    if (!kernels) return bench_linear_layers(*options, *linear, session.json);
    options->ops = *kernels;
    BenchReport report(session.json, baseline->empty() ? Baseline() : Baseline(*baseline));
    bench_kernels(*options, [&](const KernelTime& time) { report.add(time); });
    report.finish(*options);
    if (report.slower() > 0) session.exit_code = ExitCode::difference;
  });
}

}  // namespace halftone::tool
