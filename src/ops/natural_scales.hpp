#pragma once

#include <cstddef>
#include <vector>

#include <halftone/linear.hpp>

namespace halftone::ops {

/// The scales of the groups of a layer, row by row, out of their tiles and decoded where they are quantized themselves; empty
/// where groups have none.
[[nodiscard]] std::vector<std::byte> group_scales(const LinearLayer& layer);

/// The same as backends take them: with the scale of each row, where rows have one, behind those of its groups.
[[nodiscard]] std::vector<std::byte> backend_scales(const LinearLayer& layer);

/// Whether the codes stand for other levels than those of their format, which no kernel knows.
[[nodiscard]] bool has_own_levels(const LinearLayer& layer);

}  // namespace halftone::ops
