#pragma once

#include <cmath>

#include <halftone/compare.hpp>

#include "output.hpp"

namespace halftone::tool {

/// JSON has no infinity: figures of identical values become null.
[[nodiscard]] inline nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

[[nodiscard]] inline nlohmann::ordered_json figures_json(const ErrorFigures& figures) {
  return {{"sqnr_db", number(figures.sqnr_db())}, {"cosine", number(figures.cosine())},   {"max_abs", number(figures.max_abs)},
          {"mse", number(figures.mse())},         {"psnr_db", number(figures.psnr_db())}, {"rel_l2", number(figures.rel_l2())}};
}

}  // namespace halftone::tool
