#pragma once

#include <functional>
#include <optional>

#include <halftone/learn.hpp>

#include "learn/feedback.hpp"
#include "learn/quantized_weight.hpp"

namespace halftone::learn {

/// Chooses the codes of `weight` as `recipe` says.  Where the method gains nothing by its own measure, leaves the squared
/// error's budget or gives what is not finite, the nearest codes stay, and the report says why.
/// `check` is called now and then; what it throws ends the work.
[[nodiscard]] LearnedLayer solve(Engine& engine, const LearnRecipe& recipe, QuantizedWeight& weight, const Moments& moments,
                                 const std::function<void()>& check = {});

/// Replaces `weight` by one that gives, on the inputs of a quantized model, what it gives on those of the original one:
/// (W C + λ W) (H + λ I)⁻¹ with the cross moments C and the second moments H, normalised to a mean diagonal of 1 of H.
/// Leaves it as it is where H is zero or has no factor.  Returns false where it would change by more than itself: such
/// moments are none.  The idea is that of GPTAQ (Li et al., 2025) and Qronos (Zhang et al., 2025).
[[nodiscard]] bool move_target(Engine& engine, const Matrix& weight, const Moments& moments, std::optional<double> damping);

}  // namespace halftone::learn
