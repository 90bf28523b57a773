#pragma once

#include <halftone/eval.hpp>
#include <halftone/linear.hpp>

#include "eval/float_reader.hpp"

namespace halftone::api {

/// What the outputs of layers are measured with.
struct OutputSources {
  const eval::FloatModel& original;
  const eval::FloatModel& other;
  const io::ModelFiles* activations;  ///< null: random inputs
  const Operations& operations;
  const Backend& reader;  ///< of values in files
  const EvaluateOptions& options;
  const RunControl& control;
};

/// Runs the product of every quantized layer of `evaluation`, on `threads` threads, and sums what it lost.  Throws
/// bad_statistics where the given inputs do not fit, usage where they are of none of the layers.
void measure_outputs(const OutputSources& from, unsigned threads, Evaluation& evaluation);

/// Times the products, one after another, and those of the original weights in BF16.
void time_outputs(const OutputSources& from, Evaluation& evaluation);

}  // namespace halftone::api
