#pragma once

#include <vector>

#include <halftone/allocate.hpp>

#include "allocate/candidates.hpp"
#include "allocate/choice.hpp"

namespace halftone::allocate {

/// What the measured layers and the goal come to as a problem of choice.  Its layers are the allocation's.
class Goal {
 public:
  /// All arguments must outlive this; `candidates` are those of `layers`, in the same order.
  Goal(const AllocateOptions& options, const std::vector<AllocatedLayer>& layers, const std::vector<LayerCandidates>& candidates);

  /// The goal is a size, and the error is to be least; else the other way round.
  [[nodiscard]] bool is_size() const noexcept { return options_.target_bytes.has_value(); }
  /// Costs and losses of the candidates.
  [[nodiscard]] std::vector<std::vector<Option>> problem() const;
  /// What costs may add up to, beside `fixed_bytes` of everything else in the output.
  [[nodiscard]] double limit(std::uint64_t fixed_bytes) const;
  /// Bytes of the layers as they are chosen, nearly: data and entries of the header.
  [[nodiscard]] std::uint64_t bytes_of(const std::vector<std::size_t>& chosen) const;
  /// Σ noise / Σ signal of the quantized layers, 0 where none is.
  [[nodiscard]] double relative_noise(const std::vector<std::size_t>& chosen) const;
  /// `noise`, a relative_noise(), in the unit of a goal that is none of size: dB, or relative L2.
  [[nodiscard]] double in_unit(double noise) const;
  /// What relative_noise() may be at most, where that is the goal.
  [[nodiscard]] double most_relative_noise() const;

 private:
  [[nodiscard]] std::uint64_t bytes_of(std::size_t layer, std::size_t candidate) const;
  [[nodiscard]] double noise(std::size_t layer, std::size_t candidate) const;
  [[nodiscard]] double signal(std::size_t layer) const;
  /// What a layer's sums count.
  [[nodiscard]] double weight(std::size_t layer) const;

  const AllocateOptions& options_;
  const std::vector<AllocatedLayer>& layers_;
  const std::vector<LayerCandidates>& candidates_;
};

}  // namespace halftone::allocate
