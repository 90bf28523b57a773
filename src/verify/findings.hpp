#pragma once

#include <string>
#include <utility>
#include <vector>

#include <halftone/verify.hpp>

namespace halftone::verify {

/// Collects what is found.
class Findings {
 public:
  /// `layer` is a layer without ".weight", a tensor, or "" for the file.
  void problem(std::string layer, std::string text) { add(Finding::Severity::problem, std::move(layer), std::move(text)); }
  void note(std::string layer, std::string text) { add(Finding::Severity::note, std::move(layer), std::move(text)); }

  [[nodiscard]] std::vector<Finding>& all() noexcept { return all_; }

 private:
  void add(Finding::Severity severity, std::string layer, std::string text) {
    all_.push_back({severity, std::move(layer), std::move(text)});
  }

  std::vector<Finding> all_;
};

}  // namespace halftone::verify
