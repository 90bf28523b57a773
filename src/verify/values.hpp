#pragma once

#include "formats/stored_layers.hpp"
#include "io/model_files.hpp"
#include "verify/findings.hpp"

namespace halftone::verify {

/// Reads every code and every scale of `layer` and reports those that are no numbers, and tables that differ from
/// their format's.
void check_values(const io::ModelFiles& files, const formats::QuantizedLayer& layer, Findings& findings);

}  // namespace halftone::verify
