#pragma once

#include <cstdint>
#include <vector>

#include <halftone/format.hpp>

#include "cpu/kernel_table.hpp"
#include "cpu/strips.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::cpu {

/// Replaces the plain scale of each group of `strip`, which `scales` holds, by that of the format's candidates whose
/// squared error is least, the first of equal ones.  `largest`: the bits of the groups' largest magnitudes; `tensor`:
/// the scale of the whole weight.
void search_scales(const KernelTable& kernels, const QuantSpec& spec, float tensor, const Strip& strip,
                   const std::vector<std::uint32_t>& largest, std::vector<formats::AnyScale>& scales);

}  // namespace halftone::cpu
