#pragma once

#include <functional>

#include <halftone/learn.hpp>

#include "learn/moments.hpp"
#include "learn/quantized_weight.hpp"

namespace halftone::learn {

/// Chooses the codes of `weight` as `recipe` says.  Where the method gains nothing by its own measure, leaves the squared
/// error's budget or gives what is not finite, the nearest codes stay, and the report says why.
/// `check` is called now and then; what it throws ends the work.
[[nodiscard]] LearnedLayer solve(Engine& engine, const LearnRecipe& recipe, QuantizedWeight& weight, const Moments& moments,
                                 const std::function<void()>& check = {});

}  // namespace halftone::learn
