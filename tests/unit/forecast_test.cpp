#include "exec/forecast.hpp"

#include <algorithm>
#include <functional>
#include <future>

#include <gtest/gtest.h>

#include "cpu/cpu_backend.hpp"
#include "learn/layer_work.hpp"

namespace halftone::exec {
namespace {

using std::chrono::steady_clock;

/// Jobs that learn, and some that do not.
Plan plan_of(const std::vector<Shape>& shapes) {
  Plan plan;
  for (const Shape& shape : shapes) {
    Job job{.kind = JobKind::quantize, .inputs = {{.info = {.name = "a.weight", .dtype = Dtype::F32, .shape = shape}}}};
    job.learn = LearnRecipe{.method = LearnMethod::project};
    plan.jobs.push_back(job);
    plan.jobs.push_back({.kind = JobKind::copy});
  }
  return plan;
}

constexpr learn::Rates kRates{.product = 1e-9, .element = 1e-6, .copy = 1e-7, .wait = 1e-3};

/// Seconds of a layer whose time is its work.
double seconds_of(const Job& job) {
  const Shape& shape = job.inputs[0].info.shape;
  return learn::seconds_of(learn::layer_work(*job.learn, job.spec, shape[0], shape[1], DeviceKind::cpu), kRates);
}

double foreseen(std::uint64_t end_ns, steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::nanoseconds(end_ns) - start.time_since_epoch()).count();
}

class Foreseen : public testing::Test {
 protected:
  const std::unique_ptr<Backend> backend_ = cpu::make_backend();
  const Plan plan_ = plan_of({{512, 512}, {1024, 768}, {256, 2048}, {768, 768}});
  RunControl control_;
  Forecast forecast_{plan_, *backend_, 2, control_, [](learn::Engine&) { return kRates; }};
  const std::shared_ptr<learn::Engine> engine_ = backend_->make_engine(0);
  steady_clock::time_point start_ = steady_clock::now();
};

TEST_F(Foreseen, Nothing_is_before_a_layer_begins) { EXPECT_EQ(control_.foreseen_end_ns, 0U); }

/// Two at once, those of most work first: each of the others follows the one that ends first.
double seconds_of_two_at_once(const Plan& plan, double slowness) {
  std::vector<double> layers;
  for (std::size_t i = 0; i < plan.jobs.size(); i += 2) layers.push_back(slowness * seconds_of(plan.jobs[i]));
  std::sort(layers.begin(), layers.end(), std::greater<>());
  double ends[2] = {};
  for (const double seconds : layers) *std::min_element(ends, ends + 2) += seconds;
  return std::max(ends[0], ends[1]);
}

TEST_F(Foreseen, The_end_is_known_from_the_rates_of_the_machine_when_the_first_layer_begins) {
  forecast_.begin(*engine_);
  const double all = seconds_of_two_at_once(plan_, 1.0);
  EXPECT_NEAR(foreseen(control_.first_foreseen_end_ns, start_), all, 0.01 * all);
  EXPECT_EQ(control_.foreseen_end_ns, control_.first_foreseen_end_ns);
}

TEST_F(Foreseen, Layers_that_learn_side_by_side_and_are_done_correct_what_the_rates_say) {
  forecast_.begin(*engine_);
  forecast_.begin(*engine_);
  forecast_.end(plan_.jobs[0], 1.5 * seconds_of(plan_.jobs[0]));
  const double all = seconds_of_two_at_once(plan_, 1.5);
  EXPECT_NEAR(foreseen(control_.foreseen_end_ns, start_), all, 0.01 * all);
}

TEST_F(Foreseen, One_layer_after_another_end_with_the_sum_of_their_times) {
  forecast_.begin(*engine_);
  forecast_.end(plan_.jobs[0], seconds_of(plan_.jobs[0]));
  double all = 0;
  for (std::size_t i = 0; i < plan_.jobs.size(); i += 2) all += seconds_of(plan_.jobs[i]);
  EXPECT_NEAR(foreseen(control_.foreseen_end_ns, start_), all, 0.01 * all);
}

TEST_F(Foreseen, Layers_of_an_interrupted_run_take_no_time) {
  forecast_.skip(plan_.jobs[2]);
  forecast_.begin(*engine_);
  forecast_.end(plan_.jobs[0], seconds_of(plan_.jobs[0]));
  const double all = seconds_of(plan_.jobs[0]) + seconds_of(plan_.jobs[4]) + seconds_of(plan_.jobs[6]);
  EXPECT_NEAR(foreseen(control_.foreseen_end_ns, start_), all, 0.01 * all);
}

TEST_F(Foreseen, The_first_foresight_stays_while_the_next_ones_learn) {
  forecast_.begin(*engine_);
  forecast_.end(plan_.jobs[0], seconds_of(plan_.jobs[0]));
  const std::uint64_t first = control_.first_foreseen_end_ns;
  forecast_.begin(*engine_);
  forecast_.end(plan_.jobs[2], 3 * seconds_of(plan_.jobs[2]));
  EXPECT_EQ(control_.first_foreseen_end_ns, first);
  EXPECT_GT(control_.foreseen_end_ns, first);
}

/// What a forecast asks of a backend, as a GPU answers.
class GpuLike : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "like a GPU"; }
  [[nodiscard]] DeviceKind kind() const noexcept override { return DeviceKind::gpu; }
  [[nodiscard]] std::string_view product() const noexcept override { return name(); }
  [[nodiscard]] Support supports(const QuantSpec&, Dtype) const override { return {}; }
  [[nodiscard]] std::uint32_t max_magnitude(const MatrixView&) const override { return 0; }
  std::uint32_t quantize(const QuantSpec&, const MatrixView&, float, const QuantizedBand&) const override { return 0; }
  void dequantize(const QuantSpec&, const MatrixView&, const std::byte*, float, float*) const override {}
  void add_squared_errors(const QuantSpec&, const MatrixView&, std::span<const float>, float, std::span<ErrorSum>) const override {}
  void to_float(Dtype, const std::byte*, std::uint64_t, float*) const override {}
  void from_float(const float*, std::uint64_t, Dtype, std::byte*) const override {}
  [[nodiscard]] std::optional<std::uint64_t> engine_bytes() const noexcept override { return std::uint64_t{1} << 40; }
  [[nodiscard]] std::shared_ptr<learn::Engine> make_engine(std::uint64_t bytes) const override { return cpu_->make_engine(bytes); }

 private:
  std::unique_ptr<Backend> cpu_ = cpu::make_backend();
};

class ForeseenOnGpu : public testing::Test {
 protected:
  /// Seconds that are foreseen, with one thread, before the first layer of such shapes, of which some at the end are done.
  double before_the_first(const std::vector<Shape>& shapes, std::size_t n_done = 0) {
    const Plan plan = plan_of(shapes);
    RunControl control;
    Forecast forecast(plan, backend_, 1, control, [](learn::Engine&) { return kRates; });
    for (std::size_t i = shapes.size() - n_done; i < shapes.size(); ++i) forecast.skip(plan.jobs[2 * i]);
    forecast.begin(*engine_);
    return foreseen(control.first_foreseen_end_ns, steady_clock::now());
  }
  /// The same by the work alone.
  static double of_work(const std::vector<Shape>& shapes) {
    double seconds = 0;
    for (const Shape& shape : shapes) {
      const LearnRecipe recipe{.method = LearnMethod::project};
      seconds += learn::seconds_of(learn::layer_work(recipe, {}, shape[0], shape[1], DeviceKind::gpu), kRates);
    }
    return seconds;
  }
  GpuLike backend_;
  const std::shared_ptr<learn::Engine> engine_ = backend_.make_engine(0);
};

TEST_F(ForeseenOnGpu, Kernels_are_loaded_before_the_first_layer_and_for_each_other_shape) {
  const std::vector<Shape> same = {{256, 256}, {256, 256}};
  const std::vector<Shape> different = {{256, 256}, {128, 512}};
  const double first = before_the_first(same) - of_work(same);
  const double more = before_the_first(different) - of_work(different) - first;
  EXPECT_GT(first, 0.1);
  EXPECT_GT(more, 0.01);
  EXPECT_LT(more, first);
}

TEST_F(ForeseenOnGpu, Layers_of_an_interrupted_run_load_no_kernels) {
  const double alone = before_the_first({{256, 256}});
  EXPECT_NEAR(before_the_first({{256, 256}, {128, 512}}, 1), alone, 0.01 * alone);
}

TEST_F(ForeseenOnGpu, The_first_layer_is_not_taken_for_slow_because_it_loads_kernels) {
  const std::vector<Shape> shapes(8, {256, 256});
  const Plan plan = plan_of(shapes);
  RunControl control;
  Forecast forecast(plan, backend_, 1, control, [](learn::Engine&) { return kRates; });
  const steady_clock::time_point start = steady_clock::now();
  forecast.begin(*engine_);
  const double first = foreseen(control.first_foreseen_end_ns, start);
  const double loading = first - of_work(shapes);
  forecast.end(plan.jobs[0], loading + of_work({shapes[0]}));
  EXPECT_NEAR(foreseen(control.foreseen_end_ns, start), first, 0.01 * first);
}

TEST_F(ForeseenOnGpu, The_other_threads_go_on_while_the_first_one_measures) {
  const Plan plan = plan_of({{256, 256}, {256, 256}});
  RunControl control;
  std::future<void> other;
  bool went_on = false;
  Forecast* running = nullptr;
  Forecast forecast(plan, backend_, 2, control, [&](learn::Engine&) {
    other = std::async(std::launch::async, [&] { running->begin(*engine_); });
    went_on = other.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
    return kRates;
  });
  running = &forecast;
  forecast.begin(*engine_);
  EXPECT_TRUE(went_on);
}

}  // namespace
}  // namespace halftone::exec
