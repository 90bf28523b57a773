#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace halftone::formats {

/// The text that Python's json.dumps gives with its default separators: what the reference writes into
/// labels and headers.
[[nodiscard]] std::string python_dump(const nlohmann::ordered_json& value);

}  // namespace halftone::formats
