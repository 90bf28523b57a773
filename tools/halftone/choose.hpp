#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/fail.hpp"
#include "base/text.hpp"

namespace halftone::tool {

/// The value that `word` names.  Throws usage with the known words and the nearest one.
template <class Value>
[[nodiscard]] Value choose(const std::map<std::string, Value>& known, const std::string& word, const char* option) {
  const auto found = known.find(word);
  if (found != known.end()) return found->second;
  std::vector<std::string> names;
  names.reserve(known.size());
  for (const auto& [name, value] : known) names.push_back(name);
  fail(ErrorKind::usage, "{} takes {}, not '{}'{}", option, base::joined_by_or(names), word, base::did_you_mean(word, names));
}

}  // namespace halftone::tool
