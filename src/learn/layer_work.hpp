#pragma once

#include <cstdint>

#include <halftone/backend.hpp>
#include <halftone/learn.hpp>

#include "learn/costs.hpp"

namespace halftone::learn {

/// The rates of one thread of a processor with AVX2, or of an H100, where nothing was measured: for the order of layers, for how
/// many GPUs are worth their start, and on a GPU without room for measuring.
[[nodiscard]] Rates usual_rates(DeviceKind device);

/// Seconds in which a GPU loads kernels, on an H100.
struct Loading {
  double first = 0;    ///< for the first layer
  double another = 0;  ///< for the first layer of another shape
};

/// Those of layers of a method; `side_by_side`: several at once, which load at the same time as the rates are measured.
[[nodiscard]] Loading usual_loading(LearnMethod method, bool side_by_side);

/// How much work quantizing a rows × columns weight so is.
[[nodiscard]] Workload layer_work(const LearnRecipe& recipe, const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns,
                                  DeviceKind device);

}  // namespace halftone::learn
