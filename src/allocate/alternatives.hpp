#pragma once

#include <halftone/eval.hpp>

#include "allocate/layer_moments.hpp"

namespace halftone::allocate {

/// What other formats are tried with.
struct AdviceSources {
  const eval::FloatModel& original;
  const io::ModelFiles* activations;  ///< inputs of layers that outputs were measured on; null without
  const StatisticsFile* statistics;   ///< null without
  const Backend& backend;
  const RunControl& control;
};

/// What else could be done with the layers of `evaluation` that lost most, by EvaluatedLayer::judged_db(): the formats that
/// ComfyUI loads by itself, rounding to nearest and the search for scales are tried on the original, and judged by the same
/// inputs; `advised` layers get alternatives and advice.
void advise(const AdviceSources& from, std::size_t advised, unsigned threads, Evaluation& evaluation);

}  // namespace halftone::allocate
