#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include <halftone/error.hpp>

#include "support/temp_folder.hpp"

namespace halftone::test {

/// Something broken, and the one kind that names what is wrong with it.
struct Reject {
  std::string name;
  ErrorKind kind;
  std::string word;  ///< stands in the sentence
  std::function<void(const TempFolder&)> provoke;
  friend std::ostream& operator<<(std::ostream& out, const Reject& reject) { return out << reject.name; }
};

/// Broken texts of headers, for parse_header().
std::vector<Reject> header_rejects();

}  // namespace halftone::test
