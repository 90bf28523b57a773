#pragma once

#include <map>
#include <string>

#include <halftone/eval.hpp>

namespace halftone::allocate {

/// The median of EvaluatedLayer::judged_db() over the layers of each format.
[[nodiscard]] std::map<std::string, double> typical(const Evaluation& evaluation);

/// The advice for a layer from its figures and alternatives.  `typical_db`: that of its format.
[[nodiscard]] std::string advice_for(const EvaluatedLayer& layer, double typical_db);

}  // namespace halftone::allocate
