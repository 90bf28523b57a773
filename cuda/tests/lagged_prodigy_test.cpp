// Prodigy whose steps come in pairs leaves the best iterate where it belongs, whenever a loop stops, and the same as the CPU
// but for roundings.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cpu/learn/optimizer_steps.hpp"
#include "gpu_test.cuh"
#include "learn/optimizer_launches.hpp"
#include "optimizer_runs.hpp"

namespace halftone::test {
namespace {

using namespace halftone::cuda;

class LaggedProdigyOnGpu : public GpuTest {};
class LaggedProdigyExhaustive : public LaggedProdigyOnGpu {};

struct Shape {
  std::uint64_t rows;
  std::uint64_t columns;
  [[nodiscard]] std::uint64_t elements() const { return rows * columns; }
};
constexpr Shape kSmall{48, 72};
/// Of which a thread takes some elements of several rows.
constexpr Shape kLarge{300, 4096};
constexpr unsigned kLongest = 7;

/// Losses of the iterations: the first one, then better or worse than the best so far by the bits of `pattern`.  They are powers
/// of two, so that no gradient is rounded where it is divided by one.
std::vector<float> losses_of(unsigned pattern) {
  std::vector<float> losses = {1.0F};
  float best = 1.0F;
  for (unsigned i = 1; i < kLongest; ++i) {
    const bool improves = (pattern >> (i - 1) & 1U) != 0;
    losses.push_back(improves ? best / 2 : best * 2);
    if (improves) best /= 2;
  }
  return losses;
}

/// Gradients of binary16, of every iteration.
std::vector<std::vector<float>> make_gradients(const Shape& shape) {
  std::vector<std::vector<float>> gradients(kLongest, std::vector<float>(shape.elements()));
  std::uint64_t state = test_seed();
  for (std::vector<float>& gradient : gradients) {
    for (float& value : gradient) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      value = codec::F16::decode(codec::F16::encode(static_cast<float>(state >> 40) * 0x1p-23F - 1.0F));
    }
  }
  return gradients;
}

/// A run on both, whose gradients do not depend on where it is.
class Runs {
 public:
  Runs(const BenchTools& tools, const Shape& shape, const std::vector<std::vector<float>>& gradients, std::vector<float> losses)
      : tools_(tools),
        shape_(shape),
        gradients_(gradients),
        losses_(std::move(losses)),
        host_(Optimizer::prodigy, shape.rows, shape.columns) {
    const auto iterations = static_cast<std::uint32_t>(losses_.size());
    ScheduleOptions& options = host_.run.schedule.options;
    options.iterations = iterations;
    options.stop.loss = 0;
    std::fill(host_.first.begin(), host_.first.end(), 0.0F);
    device_.emplace(tools_, host_);
    EXPECT_TRUE(can_lag(device_->run));
    upload();
    for (std::uint32_t i = 0; i < iterations; ++i) iterate_host(i), iterate_device(i);
    // Iterations after the last one change nothing.
    for (std::uint32_t i = 0; i < 3; ++i) iterate_device(iterations - 1 + i % 2);
  }

  void expect_same_best() {
    learn::LoopState state;
    HALFTONE_TEST_CUDA(cudaMemcpyAsync(&state, device_->run.state, sizeof state, cudaMemcpyDeviceToHost, tools_.stream.get()));
    tools_.stream.synchronize();
    EXPECT_NE(state.stop, learn::StopReason::none);
    EXPECT_EQ(state.stop, host_.state.stop);
    EXPECT_EQ(state.best_iteration, host_.state.best_iteration);
    ASSERT_EQ(state.best_slot, host_.state.best_slot);
    const std::vector<float> found = device_->read(device_->run.offsets[state.best_slot], shape_.elements());
    const float* expected = host_.run.offsets[state.best_slot];
    float longest = 0;
    float furthest = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      longest = std::max(longest, std::fabs(expected[i]));
      furthest = std::max(furthest, std::fabs(found[i] - expected[i]));
    }
    EXPECT_EQ(longest > 0, state.best_iteration > 1);
    EXPECT_LE(furthest, 1e-5F * longest);
  }

 private:
  void upload() {
    const auto bytes_of = [](const auto& values) {
      const auto bytes = std::as_bytes(std::span(values));
      return std::vector<std::byte>(bytes.begin(), bytes.end());
    };
    for (std::size_t i = 0; i < losses_.size() + 1; ++i) {
      std::vector<std::uint16_t> halves(shape_.elements());
      const std::vector<float>& gradient = gradients_[std::min(i, gradients_.size() - 1)];
      std::transform(gradient.begin(), gradient.end(), halves.begin(),
                     [](float value) { return static_cast<std::uint16_t>(codec::F16::encode(value)); });
      buffers_.push_back(tools_.upload(bytes_of(halves)));
    }
    measured_ = tools_.upload(bytes_of(losses_));
  }

  /// `i`: from 0 on.
  void iterate_host(std::uint32_t i) {
    const float loss = losses_[i];
    cpu::advance(host_.run, static_cast<double>(loss));
    if (host_.state.stop != learn::StopReason::none) return;
    std::transform(gradients_[i].begin(), gradients_[i].end(), host_.gradient.begin(), [loss](float value) { return value * loss; });
    cpu::optimizer_step(host_.run);
  }

  void iterate_device(std::uint32_t i) {
    const cudaStream_t stream = tools_.stream.get();
    const std::size_t last = std::min<std::size_t>(i, losses_.size() - 1);
    launch_advance(device_->run, {measured_.as<float>() + last, 1, 1, 1}, stream);
    device_->exchange.gradient = buffers_[i].as<__half>();
    if (i % 2 == 0) return launch_first_step(device_->run, device_->exchange, stream);
    launch_second_step(device_->run, device_->exchange, buffers_[i - 1].as<__half>(), stream);
  }

  const BenchTools& tools_;
  Shape shape_;
  const std::vector<std::vector<float>>& gradients_;
  std::vector<float> losses_;
  HostRun host_;
  std::optional<DeviceRun> device_;
  std::vector<DeviceBuffer> buffers_;
  DeviceBuffer measured_;
};

TEST_F(LaggedProdigyExhaustive, Best_iterate_is_kept_wherever_a_loop_stops) {
  const std::function<void(const KernelTime&)> nowhere = [](const KernelTime&) {};
  const BenchTools tools(1, nowhere);
  const auto gradients = make_gradients(kSmall);
  for (unsigned pattern = 0; pattern < 1U << (kLongest - 1); ++pattern) {
    for (unsigned length = 1; length <= kLongest; ++length) {
      SCOPED_TRACE("improvements " + std::to_string(pattern) + ", iterations " + std::to_string(length));
      std::vector<float> losses = losses_of(pattern);
      losses.resize(length);
      Runs(tools, kSmall, gradients, losses).expect_same_best();
    }
  }
}

TEST_F(LaggedProdigyExhaustive, Best_iterate_is_kept_where_a_loss_is_no_number) {
  const std::function<void(const KernelTime&)> nowhere = [](const KernelTime&) {};
  const BenchTools tools(1, nowhere);
  const auto gradients = make_gradients(kSmall);
  for (unsigned pattern = 0; pattern < 1U << (kLongest - 1); ++pattern) {
    for (unsigned length = 2; length <= kLongest; ++length) {
      SCOPED_TRACE("improvements " + std::to_string(pattern) + ", iterations " + std::to_string(length));
      std::vector<float> losses = losses_of(pattern);
      losses.resize(length);
      losses.back() = std::numeric_limits<float>::quiet_NaN();
      Runs(tools, kSmall, gradients, losses).expect_same_best();
    }
  }
}

TEST_F(LaggedProdigyOnGpu, Best_iterate_is_kept_where_threads_take_several_rows) {
  const std::function<void(const KernelTime&)> nowhere = [](const KernelTime&) {};
  const BenchTools tools(1, nowhere);
  const auto gradients = make_gradients(kLarge);
  for (const unsigned pattern : {0b000000U, 0b010110U, 0b111111U}) {
    for (const unsigned length : {kLongest - 1, kLongest}) {
      SCOPED_TRACE("improvements " + std::to_string(pattern) + ", iterations " + std::to_string(length));
      std::vector<float> losses = losses_of(pattern);
      losses.resize(length);
      Runs(tools, kLarge, gradients, losses).expect_same_best();
    }
  }
}

}  // namespace
}  // namespace halftone::test
