#include "formats/layer_label.hpp"

#include <algorithm>
#include <array>

#include "base/fail.hpp"
#include "base/strict_json.hpp"

namespace halftone::formats {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFullPrecision = "full_precision_matrix_mult";
/// What stands behind that key in a label.
constexpr std::array<std::string_view, 3> kLaterKeys = {"convrot", "convrot_groupsize", "per_row"};

}  // namespace

ordered_json parse_label(std::string_view text, const std::string& base) {
  const std::string origin = fmt::format("the quantization JSON of the layer '{}'", base);
  auto label = base::parse_json<ordered_json>(text, ErrorKind::bad_quantization, origin);
  if (!label.is_object()) fail(ErrorKind::bad_quantization, "{} is no object", origin);
  return label;
}

bool set_full_precision(ordered_json& label, bool wanted) {
  const auto found = label.find(kFullPrecision);
  const bool is_set = found != label.end() && found->is_boolean() && found->get<bool>();
  if (is_set == wanted) return false;
  label.erase(kFullPrecision);
  if (!wanted) return true;
  ordered_json with = ordered_json::object();
  for (const auto& [key, value] : label.items()) {
    if (std::find(kLaterKeys.begin(), kLaterKeys.end(), key) != kLaterKeys.end()) with[kFullPrecision] = true;
    with[key] = value;
  }
  with[kFullPrecision] = true;
  label = std::move(with);
  return true;
}

bool flatten_params(ordered_json& label) {
  const auto found = label.find("params");
  if (found == label.end() || !found->is_object()) return false;
  const ordered_json params = *found;
  label.erase("params");
  const auto add = [&](const std::string& key) {
    if (params.contains(key) && !label.contains(key)) label[key] = params[key];
  };
  add("group_size");
  for (const auto& [key, value] : params.items()) add(key);
  return true;
}

}  // namespace halftone::formats
