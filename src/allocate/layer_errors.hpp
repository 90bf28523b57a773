#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <halftone/compare.hpp>

#include "eval/float_reader.hpp"
#include "learn/memory.hpp"

namespace halftone::allocate {

/// Second moments of a layer's inputs: all of them, in the memory of `engine`, or the diagonal, or neither for inputs of
/// unit variance without correlation.
struct InputMoments {
  learn::Engine* engine = nullptr;
  learn::Matrix second;
  std::vector<float> diagonal;
};

/// What a spec does to a layer.
struct SpecError {
  ErrorFigures figures;
  double output_noise = 0;  ///< tr(E S Eᵀ)
  bool is_refused = false;  ///< the format does not hold the weight, and a conversion refuses it: the errors mean nothing
};

struct LayerErrors {
  std::vector<SpecError> of_specs;
  ErrorFigures signal;       ///< of the weight against itself
  double output_signal = 0;  ///< tr(W S Wᵀ)
};

/// The whole weight as a spec restores it; nothing for a spec that needs no look at all of it.  `amax`: what the scale of the
/// whole weight is made from.
using RestoreWhole = std::function<std::optional<std::vector<float>>(const QuantSpec& spec, float amax)>;

/// Rounds `tensor` of `model` to nearest with each of `specs`, the scales chosen as each says: by `whole` where that has an
/// answer, else a band at a time.  Throws not_finite, interrupted.
[[nodiscard]] LayerErrors measure(const eval::FloatModel& model, const ModelTensor& tensor, const Backend& backend,
                                  std::span<const QuantSpec> specs, const InputMoments& moments, const std::atomic<bool>& stop,
                                  const RestoreWhole& whole = {});

/// tr(A S Aᵀ) of rows of values, `columns` in each.
[[nodiscard]] double output_energy(const InputMoments& moments, const std::vector<float>& values, std::uint64_t columns);

}  // namespace halftone::allocate
