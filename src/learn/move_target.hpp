#pragma once

#include <optional>

#include "learn/moments.hpp"

namespace halftone::learn {

/// Replaces `weight` by one that gives, on the inputs of a quantized model, what it gives on those of the original one:
/// (W C + λ W) (H + λ I)⁻¹ with the cross moments C and the second moments H, normalised to a mean diagonal of 1 of H.
/// Leaves it as it is where H is zero or has no factor.  Returns false where it would change by more than itself: such
/// moments are none.  The idea is that of GPTAQ (Li et al., 2025) and Qronos (Zhang et al., 2025).
[[nodiscard]] bool move_target(MatrixEngine& engine, const Matrix& weight, const Moments& moments, std::optional<double> damping);

}  // namespace halftone::learn
