#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <halftone/convert.hpp>

namespace halftone {

/// Whether tensors that a layer may have are added where they are missing, or left out.
enum class Presence : std::uint8_t { add, remove };

/// The layouts of NF4 and FP4: that of convert_to_quant, and that of bitsandbytes.
enum class Container : std::uint8_t { ctq, bnb };

/// What a migration does besides bringing older layouts up to date.
struct MigrateOptions {
  std::optional<Presence> input_scale;  ///< activation scales of 1.0 for layers that take one
  std::optional<Presence> hybrid;       ///< the scale of the whole weight beside the scales of MXFP8
  std::optional<Container> container;   ///< the layout of NF4 and FP4 layers
};

/// The values of scales of one element, by the name of the tensor.
using ScaleValues = std::map<std::string, float, std::less<>>;

/// Decides a migration; Plan::up_to_date says that there is nothing to do.  Touches no file.
/// `scales` are those of the older layouts (`.scale_weight`) that have one element.
/// Throws usage, bad_quantization, unsupported.
[[nodiscard]] Plan build_migrate_plan(const ModelIndex& model, const SideTexts& texts, const ScaleValues& scales,
                                      const MigrateOptions& options);

/// Reads the headers and small tensors of the model at `input` and decides its migration; writes nothing.  Throws Error.
[[nodiscard]] Plan plan_migration(const std::filesystem::path& input, const MigrateOptions& options);

/// Writes the model at `input` in today's layouts, without quantizing again.  Where it is up to date, nothing
/// is written.  Throws Error.
RunReport migrate(const std::filesystem::path& input, const std::filesystem::path& output, const MigrateOptions& options,
                  const RunOptions& run, RunControl& control);

}  // namespace halftone
