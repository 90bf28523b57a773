#include "plan/lora.hpp"

#include <algorithm>
#include <string_view>

#include "formats/layer_names.hpp"

namespace halftone::plan {

std::string lora_name(const std::string& base) {
  constexpr std::string_view prefix = "diffusion_model.";
  std::string_view rest = base;
  if (rest.starts_with("model.diffusion_model.")) rest.remove_prefix(std::string_view("model.").size());
  if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
  return std::string(prefix) + std::string(rest);
}

std::array<TensorInfo, 2> lora_factors(const TensorInfo& weight, std::uint64_t rank) {
  const std::uint64_t rows = weight.shape[0];
  const std::uint64_t columns = weight.shape[1];
  const std::uint64_t used = std::min({rank, rows, columns});
  const std::string name = lora_name(formats::base_name(weight.name));
  return {TensorInfo{.name = name + ".lora_up.weight", .dtype = Dtype::F32, .shape = {rows, used}},
          TensorInfo{.name = name + ".lora_down.weight", .dtype = Dtype::F32, .shape = {used, columns}}};
}

}  // namespace halftone::plan
