#include "learn/half_loop.hpp"

#include <algorithm>
#include <cmath>

#include "learn/half_matrices.hpp"
#include "learn/optimizer_launches.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda {
namespace {

/// The basis is filled up to a multiple of this, so that products have whole tiles.
constexpr std::uint64_t kRankMultiple = 64;

/// Factors stay below this: elements of magnitude 1 must not leave the range of binary16.
constexpr int kLargestExponent = 15;

/// A power of two near the root of `n`: it makes the elements of a unit vector of `n` elements about 1.
float root_of(std::uint64_t n) {
  const int exponent = std::ilogb(static_cast<double>(n)) / 2;
  return std::ldexp(1.0F, std::min(exponent, kLargestExponent));
}

/// The largest error becomes about 2^6: an error can grow a hundredfold, and a row of them can add up, before 65504.
float error_factor(float largest) {
  constexpr int target = 6;
  constexpr int most = 120;  // the factors of products stay numbers
  if (!(largest > 0.0F)) return 1.0F;
  return std::ldexp(1.0F, std::clamp(target - std::ilogb(largest), -most, most));
}

/// The updates of the largest scale become about as large as they are in units of the scale, which is 1 in the mean.
float update_factor(float largest_scale) {
  constexpr int most = 120;
  if (!(largest_scale > 0.0F)) return 1.0F;
  return std::ldexp(1.0F, std::clamp(-std::ilogb(largest_scale), -most, most));
}

}  // namespace

bool HalfLoop::serves(const learn::OptimizerRun& run) {
  constexpr std::uint64_t aligned = 8;
  return run.weight.rows % aligned == 0 && run.weight.columns % aligned == 0;
}

DeviceBuffer HalfLoop::halves(std::uint64_t rows, std::uint64_t columns) const {
  return {rows * columns * sizeof(__half), stream_.get(), pool_};
}

HalfLoop::HalfLoop(const HalfProducts& products, const learn::OptimizerRun& run, const learn::Basis& basis, const LargestValues& largest,
                   const Stream& stream, cudaMemPool_t pool)
    : run_(run),
      stream_(stream),
      pool_(pool),
      rank_((basis.left.columns + kRankMultiple - 1) / kRankMultiple * kRankMultiple),
      lags_(can_lag(run)),
      factors_{root_of(run.weight.rows), root_of(run.weight.columns), root_of(rank_ * rank_), root_of(run.weight.rows * rank_)} {
  const std::uint64_t rows = run.weight.rows;
  const std::uint64_t columns = run.weight.columns;
  errors_ = halves(rows, columns);
  for (unsigned turn = 0; turn < (lags_ ? 2 : 1); ++turn) gradients_[turn] = halves(rows, columns);
  left_ = halves(rows, rank_);
  left_transposed_ = halves(rank_, rows);
  right_ = halves(columns, rank_);
  right_transposed_ = halves(rank_, columns);
  projected_ = halves(rank_, rows);
  inside_ = DeviceBuffer(rank_ * rank_ * sizeof(float), stream.get(), pool);
  normalised_ = halves(rank_, rank_);
  expanded_ = halves(rows, rank_);
  launch_to_half(basis.left, factors_.left, false, rows, rank_, left_.as<__half>(), stream.get());
  launch_to_half(basis.left, factors_.left, true, rank_, rows, left_transposed_.as<__half>(), stream.get());
  launch_to_half(basis.right, factors_.right, false, columns, rank_, right_.as<__half>(), stream.get());
  launch_to_half(basis.right, factors_.right, true, rank_, columns, right_transposed_.as<__half>(), stream.get());
  const float gradient = root_of(rows * columns);
  exchange_ = {.gradient = gradients_[0].as<__half>(),
               .errors = errors_.as<__half>(),
               .is_normalised = true,
               .gradient_factor = 1.0F / gradient,
               .error_factor = error_factor(largest.error)};
  set_errors({const_cast<float*>(run.first_errors), rows, columns, columns});
  plan_measure(products, inside_);
  plan_expand(products, gradient);
  if (!lags_) return;
  // From here on, what is measured are changes.
  for (const auto& product : measure_) product->compute();
  measure_.clear();
  change_ = DeviceBuffer(inside_.size(), stream.get(), pool);
  check(cudaMemsetAsync(change_.data(), 0, change_.size(), stream.get()), "clear device memory");
  exchange_.error_factor = update_factor(largest.scale);
  plan_measure(products, change_);
}

/// out = (Uᵀ errors V)ᵀ.
void HalfLoop::plan_measure(const HalfProducts& products, const DeviceBuffer& out) {
  measure_.push_back(products.plan({.a = right_transposed_.as<__half>(),
                                    .b = errors_.as<__half>(),
                                    .out = projected_.data(),
                                    .rows = rank_,
                                    .columns = run_.weight.rows,
                                    .inner = run_.weight.columns,
                                    .factor = 1.0F / factors_.right}));
  measure_.push_back(products.plan({.a = projected_.as<__half>(),
                                    .b = left_transposed_.as<__half>(),
                                    .out = out.data(),
                                    .out_is_half = false,
                                    .rows = rank_,
                                    .columns = rank_,
                                    .inner = run_.weight.rows,
                                    .factor = 1.0F / (exchange_.error_factor * factors_.left)}));
}

/// gradient = U normalised Vᵀ.
void HalfLoop::plan_expand(const HalfProducts& products, float gradient_factor) {
  expand_left_ = products.plan({.a = left_.as<__half>(),
                                .b = normalised_.as<__half>(),
                                .out = expanded_.data(),
                                .rows = run_.weight.rows,
                                .columns = rank_,
                                .inner = rank_,
                                .factor = factors_.expanded / (factors_.left * factors_.inside)});
  for (unsigned turn = 0; turn < (lags_ ? 2 : 1); ++turn) {
    expand_right_[turn] = products.plan({.a = expanded_.as<__half>(),
                                         .b = right_.as<__half>(),
                                         .out = gradients_[turn].data(),
                                         .rows = run_.weight.rows,
                                         .columns = run_.weight.columns,
                                         .inner = rank_,
                                         .factor = gradient_factor / (factors_.expanded * factors_.right)});
  }
}

void HalfLoop::set_errors(const learn::Matrix& errors) {
  launch_to_half(errors, exchange_.error_factor, false, errors.rows, errors.columns, errors_.as<__half>(), stream_.get());
}

/// Makes the step of a lagged iteration.
void HalfLoop::put_step(unsigned turn) {
  exchange_.gradient = gradients_[turn].as<__half>();
  if (turn == 0) return launch_first_step(run_, exchange_, stream_.get());
  launch_second_step(run_, exchange_, gradients_[0].as<__half>(), stream_.get());
}

void HalfLoop::put_iteration(unsigned turn) {
  const learn::Matrix inside{inside_.as<float>(), rank_, rank_, rank_};
  if (!lags_) {
    measure();
    launch_advance(run_, inside, stream_.get());
  } else {
    launch_lagged_advance(run_, inside, {change_.as<float>(), rank_, rank_, rank_}, stream_.get());
  }
  launch_normalise(inside.data, run_.state, factors_.inside, rank_ * rank_, normalised_.as<__half>(), stream_.get());
  expand_left_->compute();
  expand_right_[lags_ ? turn : 0]->compute();
  if (!lags_) return launch_optimizer_step(run_, exchange_, stream_.get());
  put_step(turn);
  measure();
}

void HalfLoop::put_iterations(std::uint32_t n) {
  for (std::uint32_t i = 0; i < n; ++i) put_iteration((turn_ + i) % 2);
}

void HalfLoop::measure() const {
  for (const auto& product : measure_) product->compute();
}

void HalfLoop::iterate(std::uint32_t n) {
  const bool is_recorded = n == graph_length_ && turn_ == graph_turn_;
  if (is_recorded) {
    graph_->launch(stream_);
  } else {
    put_iterations(n);
  }
  turn_ = (turn_ + n) % 2;
  if (is_recorded) return;
  // What has been loaded by now need not be loaded while a graph is recorded.
  graph_ = std::make_unique<Graph>(stream_, std::vector<Stream>(), [&] { put_iterations(n); });
  graph_length_ = n;
  graph_turn_ = turn_;
}

}  // namespace halftone::cuda
