#pragma once

#include <atomic>

#include <halftone/eval.hpp>

#include "eval/float_reader.hpp"

namespace halftone::eval {

/// The layers of `other` that are stored otherwise than in `original`, with all but outputs, times and advice.
[[nodiscard]] Evaluation evaluate_weights(const FloatModel& original, const FloatModel& other, const Backend& backend, unsigned threads,
                                          const std::atomic<bool>& stop);

}  // namespace halftone::eval
