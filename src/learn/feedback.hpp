#pragma once

#include <cstdint>
#include <optional>

#include "learn/memory.hpp"
#include "learn/problem.hpp"

namespace halftone::learn {

/// What is known of the vectors that a layer multiplies, in the memory of an engine.
struct Moments {
  Matrix second;                       ///< columns × columns: the mean of x xᵀ; null where it is not known
  Matrix cross;                        ///< the same of x₀ xᵀ, where x₀ is what the original model has for x; null likewise
  std::optional<std::uint64_t> count;  ///< how many vectors they are the mean of
};

struct FeedbackOptions {
  int sweeps = 1;                 ///< passes after the first that choose every element once more
  std::optional<double> damping;  ///< part of the mean of the diagonal that is added to it; nothing: by the count
};

/// The damping of moments that are the mean of `count` vectors of `columns` elements: the fewer vectors, the less their
/// moments say about others.
[[nodiscard]] double damping_for(std::uint64_t columns, std::optional<std::uint64_t> count);

/// What makes the mean of the diagonal of `second` 1; 0 where it is zero.
[[nodiscard]] double normaliser_of(Engine& engine, const Matrix& second);

/// Chooses `levels`, of `layer`, so that the error of its outputs, tr(E H Eᵀ), is small: column by column, the largest
/// moments first, each with the errors of the columns before it made up for by those to come; then each column once more
/// in view of all others.
///
/// The first pass is LDLQ of Chee et al., "QuIP" (2023), which chooses what GPTQ of Frantar et al. (2022) does.
[[nodiscard]] Outcome feedback(Engine& engine, const Layer& layer, const Moments& moments, const FeedbackOptions& options,
                               std::uint8_t* levels);

}  // namespace halftone::learn
