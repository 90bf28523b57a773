#pragma once

#include <string>

#include <halftone/eval.hpp>

namespace halftone::report {

/// An evaluation as a page of its own, the layers that lost most first.
[[nodiscard]] std::string eval_page(const Evaluation& evaluation, const std::string& file, const std::string& source);

}  // namespace halftone::report
