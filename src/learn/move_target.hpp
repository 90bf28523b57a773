#pragma once

#include <optional>

#include <halftone/learn.hpp>

#include "learn/moments.hpp"

namespace halftone::learn {

/// Replaces `weight` by one that gives, on the inputs of a quantized model, what it gives on those of the original one:
/// (W C + λ W) (H + λ I)⁻¹ with the cross moments C and the second moments H, normalised to a mean diagonal of 1 of H.
/// Leaves it as it is, and returns nothing, where H is zero or not positive definite.  A change by more than itself, above 1,
/// says that the moments are none.  The idea is that of GPTAQ (Li et al., 2025) and Qronos (Zhang et al., 2025).
[[nodiscard]] std::optional<MovedTarget> move_target(MatrixEngine& engine, const Matrix& weight, const Moments& moments,
                                                     std::optional<double> damping);

}  // namespace halftone::learn
