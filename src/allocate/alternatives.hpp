#pragma once

#include <atomic>

#include <halftone/eval.hpp>

#include "eval/float_reader.hpp"

namespace halftone::allocate {

/// What else could be done with the layers of `evaluation` that lost most: the formats that ComfyUI loads by itself, and
/// the search for scales, are tried on the original; `advised` layers get alternatives and advice.
void advise(const eval::FloatModel& original, const Backend& backend, std::size_t advised, unsigned threads, const std::atomic<bool>& stop,
            Evaluation& evaluation);

/// The advice for a layer from its figures and alternatives.  `typical_db`: the median SQNR of the layers of its format.
[[nodiscard]] std::string advice_for(const EvaluatedLayer& layer, double typical_db);

}  // namespace halftone::allocate
