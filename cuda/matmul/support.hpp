#pragma once

namespace halftone::cuda {

/// Whether the products of this folder run on the current device: it has compute capability 9.0, and the build has code for it.
[[nodiscard]] bool has_hopper_products();

/// Throws unsupported unless they do.
void require_hopper_products();

}  // namespace halftone::cuda
