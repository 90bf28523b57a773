#pragma once

#include "formats/code_cells.hpp"
#include "formats/fit_cells.hpp"

namespace halftone::formats {

/// The maths of a format that fits its scales, by tables: of its fit and of its codes.
template <class Format>
class alignas(16) LevelCells : public FitCells<Format>, public CodeCells<Format> {
 public:
  /// The tables, filled.
  [[nodiscard]] static constexpr LevelCells made() {
    LevelCells cells{};
    cells.FitCells<Format>::fill();
    cells.CodeCells<Format>::fill();
    return cells;
  }
};

}  // namespace halftone::formats
