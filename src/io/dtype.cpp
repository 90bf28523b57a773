#include <halftone/dtype.hpp>

#include <algorithm>
#include <array>

namespace halftone {
namespace {

struct DtypeFacts {
  std::string_view name;
  std::uint32_t bits;
};

constexpr std::array kFacts = {
#define HALFTONE_DTYPE(name, bits) DtypeFacts{#name, bits},
#include <halftone/dtype.def>
#undef HALFTONE_DTYPE
};

}  // namespace

std::string_view name_of(Dtype dtype) noexcept { return kFacts[static_cast<std::size_t>(dtype)].name; }
std::uint32_t bits_of(Dtype dtype) noexcept { return kFacts[static_cast<std::size_t>(dtype)].bits; }

std::optional<Dtype> dtype_from_name(std::string_view name) noexcept {
  const auto* found = std::find_if(kFacts.begin(), kFacts.end(), [&](const DtypeFacts& f) { return f.name == name; });
  if (found == kFacts.end()) return std::nullopt;
  return static_cast<Dtype>(found - kFacts.begin());
}

}  // namespace halftone
