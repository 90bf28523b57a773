#include "exec/executor.hpp"
#include "learn/engine.hpp"

#include <map>
#include <mutex>
#include <thread>

#include "cpu/cpu_backend.hpp"
#include "unit/conversion_test.hpp"

namespace halftone::exec {
namespace {

using test::f32;
using test::fails_with;
using test::options_for;

/// A CPU backend that does something before each piece of work.
class WatchedBackend : public Backend {
 public:
  explicit WatchedBackend(std::function<void()> before) : before_(std::move(before)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "watched"; }
  [[nodiscard]] DeviceKind kind() const noexcept override { return cpu_->kind(); }
  [[nodiscard]] std::string_view product() const noexcept override { return cpu_->product(); }
  [[nodiscard]] Support supports(const QuantSpec& spec, Dtype source) const override { return cpu_->supports(spec, source); }
  [[nodiscard]] std::uint32_t max_magnitude(const MatrixView& band) const override {
    before_();
    return cpu_->max_magnitude(band);
  }
  std::uint32_t quantize(const QuantSpec& spec, const MatrixView& band, float amax, const QuantizedBand& out) const override {
    before_();
    return cpu_->quantize(spec, band, amax, out);
  }
  void dequantize(const QuantSpec& spec, const MatrixView& band, const std::byte* scales, float tensor_scale, float* out) const override {
    cpu_->dequantize(spec, band, scales, tensor_scale, out);
  }
  void add_squared_errors(const QuantSpec& spec, const MatrixView& band, std::span<const float> tensor_amaxes, float unit,
                          std::span<ErrorSum> sums) const override {
    cpu_->add_squared_errors(spec, band, tensor_amaxes, unit, sums);
  }
  void to_float(Dtype source, const std::byte* data, std::uint64_t n, float* out) const override { cpu_->to_float(source, data, n, out); }
  void from_float(const float* data, std::uint64_t n, Dtype target, std::byte* out) const override {
    cpu_->from_float(data, n, target, out);
  }
  [[nodiscard]] std::shared_ptr<learn::Engine> make_engine(std::uint64_t bytes) const override { return cpu_->make_engine(bytes); }

 private:
  std::function<void()> before_;
  std::unique_ptr<Backend> cpu_ = cpu::make_backend();
};

class RunJobs : public test::ConversionTest {
 protected:
  /// 40 layers of 64 KiB, one band each.
  void write_layers() const {
    std::vector<test::TensorBytes> tensors;
    for (int i = 0; i < 40; ++i) tensors.push_back(f32(std::to_string(i) + ".weight", {64, 256}, std::vector<float>(64 * 256, 1.0F)));
    write_input(tensors);
  }

  /// Runs a conversion to `format` without committing it.
  void run(const char* format, unsigned threads, std::function<void()> before, JobLog* log = nullptr) {
    const io::ModelFiles files(input());
    const Plan plan = build_plan(files.index(), {}, options_for(format));
    io::OutputFile file({.path = output(), .n_bytes = plan.output_bytes(), .replace = true});
    io::OutputFile* const outputs[] = {&file};
    std::ignore =
        run_jobs(plan, files, nullptr, WatchedBackend(std::move(before)), outputs, {.threads = threads, .memory_bytes = 1}, control_, log);
  }
};

/// Says that every third job is done, and counts those that get done.
class ThirdsLog : public JobLog {
 public:
  [[nodiscard]] bool is_done(std::size_t index) override {
    const std::lock_guard lock(mutex_);
    ++asked[index];
    return index % 3 == 0;
  }
  [[nodiscard]] std::optional<LearnedLayer> kept_layer(std::size_t) const override { return {}; }
  void job_done(std::size_t index, const LearnedLayer* learned) override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(learned, nullptr);
    ++done[index];
  }
  std::map<std::size_t, int> asked;
  std::map<std::size_t, int> done;

 private:
  std::mutex mutex_;
};

TEST_F(RunJobs, Log_hears_once_of_every_job_and_those_done_are_not_run) {
  write_layers();
  for (const unsigned threads : {1U, 4U}) {
    ThirdsLog log;
    std::atomic<unsigned> calls{0};
    run(
        "fp8-row", threads, [&] { ++calls; }, &log);
    const Plan plan = plan_conversion(input(), options_for("fp8-row"));
    unsigned quantized = 0;
    std::map<std::size_t, int> asked;
    std::map<std::size_t, int> done;
    for (std::size_t job = 0; job < plan.jobs.size(); ++job) {
      asked[job] = 1;
      if (job % 3 == 0) continue;
      done[job] = 1;
      quantized += plan.jobs[job].kind == JobKind::quantize ? 1U : 0U;
    }
    EXPECT_EQ(log.asked, asked);
    EXPECT_EQ(log.done, done);
    EXPECT_EQ(calls, quantized);
    EXPECT_EQ(control_.done_bytes, plan.output.data_bytes());
  }
}

TEST_F(RunJobs, Log_does_not_hear_of_a_job_that_failed) {
  write_layers();
  ThirdsLog log;
  const auto fail = [] { throw Error(ErrorKind::device, "the device is lost"); };
  EXPECT_THAT([&] { run("fp8-row", 1, fail, &log); }, fails_with(ErrorKind::device));
  EXPECT_TRUE(log.done.empty());
}

TEST_F(RunJobs, Stop_ends_the_run_soon) {
  write_layers();
  for (const unsigned threads : {1U, 4U}) {
    control_.stop = false;
    std::atomic<unsigned> calls{0};
    const auto stop_at_third = [&] {
      if (++calls == 3) control_.stop = true;
    };
    EXPECT_THAT([&] { run("fp8-row", threads, stop_at_third); }, fails_with(ErrorKind::interrupted));
    EXPECT_LT(calls, 3U + 2 * threads);
  }
}

TEST_F(RunJobs, Error_of_one_task_ends_the_run) {
  write_layers();
  for (const unsigned threads : {1U, 4U}) {
    std::atomic<unsigned> calls{0};
    const auto fail_at_fifth = [&] {
      if (++calls == 5) throw Error(ErrorKind::device, "the device is lost");
    };
    EXPECT_THAT([&] { run("fp8-row", threads, fail_at_fifth); }, fails_with(ErrorKind::device, "the device is lost"));
    EXPECT_LT(calls, 5U + 2 * threads);
  }
}

TEST_F(RunJobs, Scale_of_a_tensor_is_known_before_its_codes) {
  // Two stages per layer: 40 layers are measured once and quantized once.
  write_layers();
  std::atomic<unsigned> calls{0};
  run("fp8", 4, [&] { ++calls; });
  EXPECT_EQ(calls, 80U);
}

TEST_F(RunJobs, More_threads_than_tasks_end_well) {
  write_input({f32("a.weight", {1, 2}, {1.0F, 2.0F})});
  run("fp8", 32, [] {});
}

TEST_F(RunJobs, Input_that_shrinks_meanwhile_is_reported) {
  write_layers();
  std::atomic<bool> done{false};
  const auto truncate = [&] {
    if (!done.exchange(true)) std::filesystem::resize_file(input(), 4096);
  };
  EXPECT_THAT([&] { run("fp8-row", 2, truncate); }, fails_with(ErrorKind::input_changed, "in.safetensors"));
}

TEST_F(RunJobs, Input_that_is_written_to_meanwhile_is_reported) {
  write_layers();
  std::atomic<bool> done{false};
  const auto touch = [&] {
    if (!done.exchange(true))
      std::filesystem::last_write_time(input(), std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  };
  EXPECT_THAT([&] { run("fp8-row", 2, touch); }, fails_with(ErrorKind::input_changed, "written to"));
}

}  // namespace
}  // namespace halftone::exec
