#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "learn/basis.hpp"
#include "learn/exchange.hpp"
#include "learn/half_products.hpp"
#include "learn/optimizer_loop.hpp"
#include "runtime/graph.hpp"

namespace halftone::cuda {

/// A loop over codes whose errors, basis and gradients are binary16 where they are multiplied, each times a power of two
/// that keeps its elements in range.  11 bits, as TF32 has them, at twice the speed; offsets, moments, sums and the loss
/// are what they are elsewhere.
class HalfLoop : public learn::OptimizerLoop {
 public:
  /// Whether `run` can be carried out so: its rows and columns are those of products that are aligned.
  [[nodiscard]] static bool serves(const learn::OptimizerRun& run);

  /// Largest magnitudes of the layer.
  struct LargestValues {
    float error = 0;  ///< of the first errors
    float scale = 0;
  };

  /// All arguments but `largest` must outlive this.
  HalfLoop(const HalfProducts& products, const learn::OptimizerRun& run, const learn::Basis& basis, const LargestValues& largest,
           const Stream& stream, cudaMemPool_t pool);

  void set_errors(const learn::Matrix& errors) override;
  void iterate(std::uint32_t n) override;

 private:
  [[nodiscard]] DeviceBuffer halves(std::uint64_t rows, std::uint64_t columns) const;
  void plan_measure(const HalfProducts& products, const DeviceBuffer& out);
  void plan_expand(const HalfProducts& products, float gradient_factor);
  void measure() const;
  void put_step(unsigned turn);
  void put_iteration(unsigned turn);
  void put_iterations(std::uint32_t n);

  const learn::OptimizerRun& run_;
  const Stream& stream_;
  cudaMemPool_t pool_;
  std::uint64_t rank_;  ///< filled up with columns of zeros
  bool lags_;           ///< offsets move late (exchange.hpp)
  /// What elements are multiplied with.
  struct Factors {
    float left;
    float right;
    float inside;  ///< normalised
    float expanded;
  };
  Factors factors_;
  Exchange<__half> exchange_;
  DeviceBuffer errors_;
  DeviceBuffer gradients_[2];      ///< lagged: of the iterations by turns; else the first one
  DeviceBuffer left_;              ///< rows × rank
  DeviceBuffer left_transposed_;   ///< rank × rows
  DeviceBuffer right_;             ///< columns × rank
  DeviceBuffer right_transposed_;  ///< rank × columns
  DeviceBuffer projected_;         ///< (E V)ᵀ, rank × rows
  DeviceBuffer inside_;            ///< (Uᵀ E V)ᵀ, binary32
  DeviceBuffer change_;            ///< lagged: what the last updates change it by
  DeviceBuffer normalised_;        ///< the same over its norm
  DeviceBuffer expanded_;          ///< U (Uᵀ E V) over the norm, rows × rank
  std::vector<std::unique_ptr<HalfProducts::Plan>> measure_;
  std::unique_ptr<HalfProducts::Plan> expand_left_;
  std::unique_ptr<HalfProducts::Plan> expand_right_[2];  ///< into gradients_
  unsigned turn_ = 0;                                    ///< the next iteration is the first (0) or the second of a pair
  std::unique_ptr<Graph> graph_;                         ///< of graph_length_ iterations, from one of graph_turn_ on
  std::uint32_t graph_length_ = 0;
  unsigned graph_turn_ = 0;
};

}  // namespace halftone::cuda
