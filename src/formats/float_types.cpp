#include "formats/float_types.hpp"

#include <algorithm>
#include <array>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "formats/float_index.hpp"

namespace halftone::formats {
namespace {

struct FloatType {
  Dtype dtype;
  std::string_view name;
  std::string_view torch;
};

constexpr std::array kTypes = {
#define HALFTONE_FLOAT(name, type, torch, use) FloatType{Dtype::name, #name, torch},
#include <halftone/float_type.def>
#undef HALFTONE_FLOAT
};

template <class Test>
std::vector<std::string> names_where(const Test& test) {
  std::vector<std::string> names;
  for (const FloatType& type : kTypes) {
    if (test(type.dtype)) names.emplace_back(type.name);
  }
  return names;
}

std::string lower_case(std::string_view name) {
  std::string word(name);
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return word;
}

template <class Test>
std::optional<Dtype> type_where(const Test& test) {
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), test);
  return found == kTypes.end() ? std::nullopt : std::optional(found->dtype);
}

}  // namespace

FloatIndex float_index(Dtype dtype) {
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [&](const FloatType& type) { return type.dtype == dtype; });
  if (found == kTypes.end()) fail(ErrorKind::internal, "the kernels read no {}", name_of(dtype));
  return static_cast<FloatIndex>(found - kTypes.begin());
}

std::string source_floats() { return base::joined_by_or(names_where(is_source_float)); }
std::string target_floats() { return base::joined_by_or(names_where(is_target_float)); }

std::vector<std::string> target_words() {
  std::vector<std::string> words = names_where(is_target_float);
  std::transform(words.begin(), words.end(), words.begin(), lower_case);
  return words;
}
std::optional<Dtype> target_from_word(std::string_view word) {
  return type_where([&](const FloatType& type) { return is_target_float(type.dtype) && lower_case(type.name) == word; });
}

std::string_view torch_name(Dtype dtype) { return kTypes[float_index(dtype)].torch; }
std::optional<Dtype> float_from_torch_name(std::string_view name) {
  return type_where([&](const FloatType& type) { return type.torch == name; });
}

}  // namespace halftone::formats
