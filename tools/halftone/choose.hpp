#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/fail.hpp"
#include "base/text.hpp"

namespace halftone::tool {

/// The words of an option.
template <class Value>
[[nodiscard]] std::vector<std::string> words_of(const std::map<std::string, Value>& known) {
  std::vector<std::string> words;
  words.reserve(known.size());
  for (const auto& [word, value] : known) words.push_back(word);
  return words;
}

/// "adaptive, cosine or plateau", for help texts.
template <class Value>
[[nodiscard]] std::string joined_words(const std::map<std::string, Value>& known) {
  return base::joined_by_or(words_of(known));
}

/// The word that names `value`, for help texts and messages.  Throws internal where none does.
template <class Value>
[[nodiscard]] const std::string& word_for(const std::map<std::string, Value>& known, Value value) {
  for (const auto& [word, named] : known) {
    if (named == value) return word;
  }
  fail(ErrorKind::internal, "no word of {} names the value", joined_words(known));
}

/// The value that `word` names.  Throws usage with the known words and the nearest one.
template <class Value>
[[nodiscard]] Value choose(const std::map<std::string, Value>& known, const std::string& word, const char* option) {
  const auto found = known.find(word);
  if (found != known.end()) return found->second;
  const std::vector<std::string> names = words_of(known);
  fail(ErrorKind::usage, "{} takes {}, not '{}'{}", option, base::joined_by_or(names), word, base::did_you_mean(word, names));
}

}  // namespace halftone::tool
