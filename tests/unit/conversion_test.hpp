#pragma once

#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <halftone/convert.hpp>

#include "support/temp_folder.hpp"
#include "unit/fails_with.hpp"
#include "unit/files.hpp"
#include "unit/float_tensor.hpp"
#include "unit/tiny_model.hpp"

namespace halftone::test {

/// A test with an input file "in.safetensors" and an output "out.safetensors" in a folder.
class ConversionTest : public testing::Test {
 protected:
  void write_input(const std::vector<TensorBytes>& tensors, const Metadata& metadata = {}) const {
    write_model(input(), tensors, metadata);
  }

  RunReport convert_with(const PlanOptions& options, const RunOptions& run = {.threads = 2}) {
    return convert(input(), output(), options, run, control_);
  }
  RunReport convert_to(std::string_view format) { return convert_with(options_for(format)); }

  /// Options that cast tensors whose names hold `part` to `dtype`.
  [[nodiscard]] static PlanOptions cast_options(const std::string& part, const std::string& dtype) {
    PlanOptions options = options_for("fp8");
    options.rules =
        parse_rules(R"({"rules":[{"match":{"contains":")" + part + R"("},"action":"cast","dtype":")" + dtype + R"("}]})", "r.json");
    return options;
  }

  template <class T>
  [[nodiscard]] std::vector<T> output_values(const std::string& name) const {
    return values_of<T>(tensor_bytes(output(), name));
  }

  void expect_no_output() const { EXPECT_THAT(names_in(folder_.path()), testing::ElementsAre("in.safetensors")); }

  [[nodiscard]] std::filesystem::path input() const { return folder_ / "in.safetensors"; }
  [[nodiscard]] std::filesystem::path output() const { return folder_ / "out.safetensors"; }

  TempFolder folder_;
  RunControl control_;
};

}  // namespace halftone::test
