#pragma once

#include <string>

#include <halftone/eval.hpp>

#include "output.hpp"

namespace halftone::tool {

[[nodiscard]] std::string evaluation_text(const Evaluation& evaluation);
[[nodiscard]] nlohmann::ordered_json evaluation_json(const Evaluation& evaluation);

}  // namespace halftone::tool
