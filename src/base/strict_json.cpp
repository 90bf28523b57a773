#include "base/strict_json.hpp"

#include <string>
#include <unordered_set>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fail.hpp"

namespace halftone::base {

template <class Json>
Json parse_json(std::string_view text, ErrorKind kind, std::string_view origin) {
  using Event = typename Json::parse_event_t;
  std::vector<std::unordered_set<std::string>> open;  // the keys so far of every object around
  const auto watch = [&](int depth, Event event, Json& value) {
    if (depth > kMaxJsonDepth) fail(kind, "{}: nested deeper than {} levels", origin, kMaxJsonDepth);
    if (event == Event::object_start) open.emplace_back();
    if (event == Event::object_end) open.pop_back();
    if (event == Event::key && !open.back().insert(value.template get<std::string>()).second) {
      fail(kind, "{}: the key '{}' stands twice in one object", origin, value.template get<std::string>());
    }
    return true;
  };
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail(kind, "{}: holds a NUL at its byte {}, which JSON does not allow", origin, nul);
  }
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const typename Json::parse_error& error) {
    fail(kind, "{}: not valid JSON at its byte {}", origin, error.byte);
  } catch (const typename Json::out_of_range&) {
    fail(kind, "{}: holds a number beyond the range of 64-bit floats", origin);
  }
}

template nlohmann::json parse_json(std::string_view, ErrorKind, std::string_view);
template nlohmann::ordered_json parse_json(std::string_view, ErrorKind, std::string_view);

}  // namespace halftone::base
