#pragma once

#include "verify/contents.hpp"
#include "verify/findings.hpp"

namespace halftone::verify {

/// Checks what ComfyUI (0.33) asks of a file beyond what its labels say: known formats and element types, the
/// spelling of scales, shapes that its products take, and whether the header agrees with the labels.
void check_comfyui(const Contents& contents, Findings& findings);

/// Notes what ComfyUI loads and computes slowly.
void note_slow_layers(const Contents& contents, Findings& findings);

}  // namespace halftone::verify
