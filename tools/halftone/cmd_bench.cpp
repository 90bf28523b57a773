#include <memory>

#include <halftone/bench.hpp>

#include "command.hpp"
#include "output.hpp"

namespace halftone::tool {
namespace {

/// Prints each figure beside the copy's, the limit.
class BenchReport {
 public:
  explicit BenchReport(bool json) : json_(json) {}

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
    if (json_) return;
    print("{:<14}{:<11}{:<5} {:<8} {:9.1f} us {:8.0f} GB/s {:6.1f} % of a copy\n", time.kernel, time.format, time.source, time.target,
          time.seconds * 1e6, time.gigabytes_per_second(), share);
  }

  void finish(const KernelBenchOptions& options) const {
    if (json_) print_json({{"rows", options.rows}, {"columns", options.columns}, {"kernels", rows_}});
  }

 private:
  bool json_;
  double copy_ = 0;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
};

}  // namespace

void add_bench(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "bench", "Time the kernels of a GPU against a copy within its memory.", "halftone bench");
  const auto options = std::make_shared<KernelBenchOptions>();
  command->add_option("--device", options->device, "which GPU, as in cuda:1 (default: the first)")->type_name("DEVICE");
  command->add_option("--rows", options->rows, "of the weight (default 8192)")->type_name("N")->check(CLI::Range(1, 1 << 20));
  command->add_option("--columns", options->columns, "of the weight (default 8192)")->type_name("N")->check(CLI::Range(1, 1 << 20));
  command->add_option("--repeats", options->repeats, "timed launches of each kernel (default 30)")
      ->type_name("N")
      ->check(CLI::Range(1, 10000));
  command->callback([options, &session] {
    BenchReport report(session.json);
    bench_kernels(*options, [&](const KernelTime& time) { report.add(time); });
    report.finish(*options);
  });
}

}  // namespace halftone::tool
