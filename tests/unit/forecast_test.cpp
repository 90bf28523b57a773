#include "exec/forecast.hpp"

#include <algorithm>
#include <functional>

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
  return learn::seconds_of(learn::layer_work(*job.learn, shape[0], shape[1], DeviceKind::cpu), kRates);
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

}  // namespace
}  // namespace halftone::exec
