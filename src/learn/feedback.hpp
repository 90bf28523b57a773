#pragma once

#include <cstdint>
#include <optional>

#include "learn/effort.hpp"
#include "learn/moments.hpp"
#include "learn/problem.hpp"

namespace halftone::learn {

struct FeedbackOptions {
  int sweeps = numbers_of(Effort::usual).sweeps;  ///< passes after the first that choose every element once more
  std::optional<double> damping;                  ///< part of the mean of the diagonal that is added to it; nothing: by the count
};

/// Chooses `levels`, of `layer`, so that the error of its outputs, tr(E H Eᵀ), is small: column by column, the largest
/// moments first, each with the errors of the columns before it made up for by those to come; then each column once more
/// in view of all others.
///
/// The first pass is LDLQ of Chee et al., "QuIP" (2023), which chooses what GPTQ of Frantar et al. (2022) does.
[[nodiscard]] Outcome feedback(Engine& engine, const Layer& layer, const Moments& moments, const FeedbackOptions& options,
                               std::uint8_t* levels);

}  // namespace halftone::learn
