#include "plan/layer_statistics.hpp"

#include "base/fail.hpp"
#include "base/text.hpp"

namespace halftone::plan {
namespace {

std::optional<ModelTensor> floats(const Statistics& statistics, const std::string& name, const Shape& expected) {
  const ModelTensor* found = statistics.index.find(name);
  if (found == nullptr) return std::nullopt;
  const bool is_float = found->info.dtype == Dtype::F32 || found->info.dtype == Dtype::BF16;
  if (is_float && found->info.shape == expected) return *found;
  fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' must be F32 or BF16 {}, as the weight has {} columns, not {} {}",
       statistics.path.string(), found->info.name, to_string(expected), expected.front(), name_of(found->info.dtype),
       to_string(found->info.shape));
}

std::optional<ModelTensor> count(const Statistics& statistics, const std::string& name) {
  const ModelTensor* found = statistics.index.find(name);
  if (found == nullptr) return std::nullopt;
  const Dtype dtype = found->info.dtype;
  if ((dtype == Dtype::I64 || dtype == Dtype::F32) && element_count(found->info.shape) == 1) return *found;
  fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' must be one number of I64 or F32, not {} {}", statistics.path.string(),
       found->info.name, name_of(dtype), to_string(found->info.shape));
}

/// The metadata of a statistics file.
constexpr const char* kFormatKey = "format";
constexpr const char* kFormat = "halftone-statistics";
constexpr const char* kVersionKey = "version";
constexpr const char* kVersion = "1";

/// Throws bad_statistics where the metadata have another value than `expected` for `key`; false where they have none.
bool has_value(const Statistics& statistics, const char* key, const char* expected) {
  const Metadata& metadata = statistics.index.metadata();
  const auto found = metadata.find(key);
  if (found == metadata.end()) return false;
  if (found->second == expected) return true;
  fail(ErrorKind::bad_statistics, "'{}' is no statistics file that can be read: its metadata must have \"{}\": \"{}\", not \"{}\"",
       statistics.path.string(), key, expected, base::printable(found->second));
}

}  // namespace

std::optional<std::string> check_kind(const Statistics& statistics) {
  const bool has_format = has_value(statistics, kFormatKey, kFormat);
  // The version of another file would mean nothing.
  const bool has_version = has_format && has_value(statistics, kVersionKey, kVersion);
  if (has_version) return std::nullopt;
  return fmt::format("'{}' is taken for statistics, although its metadata lack \"{}\": \"{}\"", statistics.path.filename().string(),
                     has_format ? kVersionKey : kFormatKey, has_format ? kVersion : kFormat);
}

LayerStatistics find_statistics(const Statistics& statistics, const std::string& layer, std::uint64_t columns) {
  const Shape square = {columns, columns};
  return {.second_moment = floats(statistics, layer + ".second_moment", square),
          .diagonal = floats(statistics, layer + ".diag", {columns}),
          .mean = floats(statistics, layer + ".mean", {columns}),
          .count = count(statistics, layer + ".count"),
          .cross_moment = floats(statistics, layer + ".cross_moment", square),
          .mean_quantized = floats(statistics, layer + ".mean_quantized", {columns})};
}

}  // namespace halftone::plan
