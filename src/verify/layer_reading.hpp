#pragma once

#include <atomic>
#include <optional>

#include <halftone/verify.hpp>

#include "eval/float_reader.hpp"
#include "formats/stored_layers.hpp"
#include "verify/findings.hpp"
#include "verify/learned_noise.hpp"

namespace halftone::verify {

/// What the verification of layers reads from.
struct Sources {
  const io::ModelFiles& files;
  const Backend& backend;
  const eval::FloatModel* original = nullptr;  ///< null for none
  const std::atomic<bool>& stop;
  double tolerance_db = 1.5;  ///< VerifyOptions::tolerance_db
  const LearnedNoises& learned;
};

/// Dequantizes `layer`, which must be readable, a band at a time: reports groups of zeros and, where there is an
/// original, measures the layer's error and reports one that its format does not explain.
/// Throws interrupted.
[[nodiscard]] std::optional<LayerError> read_layer(const Sources& sources, formats::QuantizedLayer layer, Findings& findings);

}  // namespace halftone::verify
