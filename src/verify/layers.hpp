#pragma once

#include "verify/contents.hpp"
#include "verify/findings.hpp"

namespace halftone::verify {

/// Checks that the tensors of each quantized layer are those that its format writes.
void check_layers(const Contents& contents, Findings& findings);

/// Checks that no scale and no table is left without the layer it belongs to.
void check_strays(const Contents& contents, Findings& findings);

/// The tensors that the format of `layer`, which must be readable, writes for it; nothing for plain casts that are
/// no matrices.  Those of texts may differ.
[[nodiscard]] std::vector<LayerTensor> expected_tensors(const formats::QuantizedLayer& layer);

/// Whether `name` is that of a layer's description.
[[nodiscard]] bool is_description(std::string_view name) noexcept;

}  // namespace halftone::verify
