#pragma once

#include <string>
#include <string_view>

namespace halftone::base {

/// XXH3-128 of `bytes` as 32 hexadecimal digits: an identity, not a signature.
[[nodiscard]] std::string digest(std::string_view bytes);

}  // namespace halftone::base
