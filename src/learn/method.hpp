#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include <halftone/learn.hpp>

#include "learn/basis.hpp"
#include "learn/costs.hpp"
#include "learn/moments.hpp"
#include "learn/problem.hpp"
#include "learn/stored_scales.hpp"

namespace halftone::learn {

/// A layer, and all that a method may ask of it.
struct Task {
  Engine& engine;
  const LearnRecipe& recipe;
  const FormatDescriptor& format;
  const Layer& layer;
  const Moments& moments;
  std::optional<StoredScales>& scales;  ///< those of the layer, where they are to be moved; they become those of the codes
  const std::function<void()>& check;
};

/// The basis that the recipe of a task asks for, in `memory`.
[[nodiscard]] Basis basis_of(const Task& task, Memory& memory);

/// Whether the squared error is within the budget of the recipe, where that has one.
[[nodiscard]] bool within_budget(const LearnRecipe& recipe, const Outcome& outcome);

/// What a method of learn_method.def does, by which measure it must gain, and what it takes.
struct Method {
  Outcome (*solve)(const Task& task, std::uint8_t* levels);  ///< chooses `levels`; null: those of rounding to nearest stay
  double Outcome::*measure;
  double Outcome::*measure_of_nearest;
  const char* no_gain;  ///< said where the measure would not be smaller
  /// Bytes on an engine at most, besides the quantized weight, its errors and the statistics.
  std::uint64_t (*bytes)(const LearnRecipe& recipe, const Extent& extent);
  Workload (*work)(const LearnRecipe& recipe, const Extent& extent, DeviceKind device);
};

namespace methods {
#define HALFTONE_LEARN_METHOD(name, needs, meaning) extern const Method name;
#include <halftone/learn_method.def>
#undef HALFTONE_LEARN_METHOD
}  // namespace methods

[[nodiscard]] const Method& method_of(LearnMethod method);

}  // namespace halftone::learn
