#include "formats/python_json.hpp"

#include <nlohmann/json.hpp>

namespace halftone::formats {
namespace {

using nlohmann::ordered_json;

/// A text or number as json.dumps writes it: non-ASCII escaped.
std::string scalar(const ordered_json& value) { return value.dump(-1, ' ', true); }

}  // namespace

std::string python_dump(const ordered_json& value) {
  std::string text;
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) text += (text.empty() ? "" : ", ") + scalar(key) + ": " + python_dump(item);
    return "{" + text + "}";
  }
  if (value.is_array()) {
    for (const auto& item : value) text += (text.empty() ? "" : ", ") + python_dump(item);
    return "[" + text + "]";
  }
  return scalar(value);
}

}  // namespace halftone::formats
