#include "exec/stored_input.hpp"

#include <cstring>
#include <span>

namespace halftone::exec {
namespace {

/// The bytes of the input that has this role; none where there is no such input.
std::span<const std::byte> input_of(const Job& job, const Context& context, Role role) {
  for (std::size_t i = 0; i < job.inputs.size(); ++i) {
    if (job.stored->roles[i] == role) return context.files.bytes(job.inputs[i]);
  }
  return {};
}

}  // namespace

formats::StoredMatrix stored_input(const Job& job, const Context& context) {
  float tensor_scale = 1.0F;
  if (const auto found = input_of(job, context, Role::tensor_scale); !found.empty()) {
    std::memcpy(&tensor_scale, found.data(), sizeof tensor_scale);
  }
  formats::StoredMatrix matrix(
      job.stored->spec, job.stored->shape, input_of(job, context, Role::codes), input_of(job, context, Role::scales), tensor_scale,
      {input_of(job, context, Role::row_scales), input_of(job, context, Role::levels), input_of(job, context, Role::nested_scales),
       input_of(job, context, Role::nested_levels), job.stored->nested_offset});
  matrix.require_finite_scales(job.inputs[0].info.name);
  return matrix;
}

}  // namespace halftone::exec
