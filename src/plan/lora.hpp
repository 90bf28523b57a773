#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <halftone/tensor.hpp>

namespace halftone::plan {

/// What ComfyUI knows a layer's LoRA by: "diffusion_model.<base>", whichever prefix `base` has in the model's file.
[[nodiscard]] std::string lora_name(const std::string& base);

/// The factors of a low-rank correction of `weight`, up (rows × r) and down (r × columns), where r is `rank` or the
/// smaller dimension.
[[nodiscard]] std::array<TensorInfo, 2> lora_factors(const TensorInfo& weight, std::uint64_t rank);

}  // namespace halftone::plan
