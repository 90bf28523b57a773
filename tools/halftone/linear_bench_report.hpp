#pragma once

#include <string>
#include <vector>

#include <halftone/bench.hpp>

#include "output.hpp"

namespace halftone::tool {

/// The shapes that "8192x8192x8192,1x12288x4096" names: rows of inputs, rows of the weight, columns of both.  Throws usage.
[[nodiscard]] std::vector<ProductShape> parse_shapes(const std::string& text);

/// Prints each time as it comes, or collects them for one JSON object.
class LinearBenchReport {
 public:
  explicit LinearBenchReport(bool json) : json_(json) {}
  void add(const LinearTime& time);
  void finish() const;

 private:
  bool json_;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
};

}  // namespace halftone::tool
