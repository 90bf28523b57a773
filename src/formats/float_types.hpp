#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/dtype.hpp>

namespace halftone::formats {

// What the types of float_type.def are called.

/// "F64, F32, BF16 or F16".
[[nodiscard]] std::string source_floats();
/// "F32, BF16 or F16".
[[nodiscard]] std::string target_floats();

/// The types that are written, as options and rules spell them: "f32", "bf16", "f16".
[[nodiscard]] std::vector<std::string> target_words();
/// The type that is written and spelled `word` there, or nothing.
[[nodiscard]] std::optional<Dtype> target_from_word(std::string_view word);

/// "bfloat16", as JSON that comes from PyTorch names it.  Throws internal for types that are not in the table.
[[nodiscard]] std::string_view torch_name(Dtype dtype);
/// The type that PyTorch calls so, or nothing.
[[nodiscard]] std::optional<Dtype> float_from_torch_name(std::string_view name);

}  // namespace halftone::formats
