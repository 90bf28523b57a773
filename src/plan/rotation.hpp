#pragma once

#include <string>
#include <vector>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"

namespace halftone::plan {

/// Whether layers of `format` can be written without its rotation: it is rotated and has a plain form.
[[nodiscard]] bool can_go_unrotated(const FormatDescriptor& format) noexcept;

/// The jobs of a plan without measured errors whose layers are measured for Rotation::automatic.
[[nodiscard]] std::vector<const Job*> rotation_questions(const Plan& plan);

/// Chooses for a layer that is to be rotated whether it is, by PlanOptions::rotation_errors.  `stored` is set where the
/// layer is quantized already.
void choose_rotation(Decision& decision, const formats::QuantizedLayer* stored, const PlanOptions& options);

/// What the user should know of the choices; empty where none was made.
/// Throws bad_statistics where the statistics have nothing of any layer, and that is not allowed.
[[nodiscard]] std::vector<std::string> rotation_notes(const std::vector<Decision>& decisions, const PlanOptions& options);

}  // namespace halftone::plan
