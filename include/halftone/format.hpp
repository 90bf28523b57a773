#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/tensor.hpp>

namespace halftone {

/// Which elements of a rows × columns weight share one scale.
enum class ScaleGrid : std::uint8_t {
  none,    ///< no scale
  tensor,  ///< all elements
  row,     ///< each row
  block,   ///< each square of block_size × block_size elements
};

class FormatDescriptor;

/// Everything that selects the maths for one tensor.
struct QuantSpec {
  const FormatDescriptor* format = nullptr;
  std::uint32_t block_size = 0;    ///< elements on each side of a block; 0 where the format has none
  bool full_precision_mm = false;  ///< ask the loader to dequantize and multiply in full precision
  bool input_scale = false;        ///< write an activation scale of 1.0 where the format takes one
};

/// Yes, or the reason why not.
struct Support {
  bool ok = true;
  std::string reason;
  explicit operator bool() const noexcept { return ok; }
};

/// What a tensor written for a layer holds.
enum class Role : std::uint8_t { codes, scales, sidecar, input_scale };

/// A tensor that a format writes for one layer; `bytes` holds its contents where they are known
/// before any weight is read (sidecar, input_scale).
struct LayerTensor {
  Role role{};
  std::string name;
  Dtype dtype{};
  Shape shape;
  std::string bytes;
};

/// A quantized layer as it is found in a file.
struct StoredLayer {
  std::string_view comfy_format;       ///< `format` of the layer's JSON; empty without JSON
  std::uint32_t group_size = 0;        ///< `group_size` of the layer's JSON, 0 where absent
  bool rotated = false;                ///< `convrot` of the layer's JSON
  const TensorInfo* weight = nullptr;  ///< never null
  const TensorInfo* scales = nullptr;  ///< null where the file has none
};

/// The facts of a format other than its maths: names, shapes, JSON.  Stateless and immortal.
class FormatDescriptor {
 public:
  virtual ~FormatDescriptor() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;          ///< as `--format` takes it
  [[nodiscard]] virtual std::string_view comfy_format() const noexcept = 0;  ///< in `.comfy_quant`; empty for none
  [[nodiscard]] virtual std::string_view summary() const noexcept = 0;       ///< one line for people
  [[nodiscard]] virtual std::string_view loaders() const noexcept = 0;       ///< who loads it
  [[nodiscard]] virtual Dtype code_dtype() const noexcept = 0;
  [[nodiscard]] virtual ScaleGrid grid() const noexcept = 0;
  /// Block sizes that `--block-size` may take; the first is the default; empty where there is none.
  [[nodiscard]] virtual std::vector<std::uint32_t> block_sizes() const = 0;
  /// Block size that `--heur` measures layers with where `--block-size` is not given.
  [[nodiscard]] virtual std::uint32_t heuristic_block() const noexcept = 0;
  /// Whether stock ComfyUI does not load it and a custom node does.
  [[nodiscard]] virtual bool needs_custom_node() const noexcept = 0;
  /// Largest magnitude of a weight that can be stored; infinity where a scale brings any into range.
  [[nodiscard]] virtual float largest_weight() const noexcept = 0;
  /// Both dimensions must be multiples of this for the loader's fast matrix product; 1 for no such need.
  [[nodiscard]] virtual std::uint32_t matmul_alignment() const noexcept = 0;

  /// Whether a rows × columns weight can be written with `spec`.
  [[nodiscard]] virtual Support accepts(const TensorInfo& weight, const QuantSpec& spec) const = 0;
  /// Shape of the scales, () where there is one; empty optional where the format has none.
  [[nodiscard]] virtual std::optional<Shape> scale_shape(const Shape& weight, const QuantSpec& spec) const = 0;
  /// The `.comfy_quant` text of a layer; empty for none.
  [[nodiscard]] virtual std::string sidecar_json(const QuantSpec& spec) const = 0;
  /// Whether `--input-scale` means anything here.
  [[nodiscard]] virtual bool takes_input_scale() const noexcept = 0;
  /// Every tensor that stands for `weight` in the output, the codes first.
  [[nodiscard]] virtual std::vector<LayerTensor> outputs(const TensorInfo& weight, const QuantSpec& spec) const = 0;
  /// The spec that a stored layer was written with, where it is of this format.
  [[nodiscard]] virtual std::optional<QuantSpec> recognise(const StoredLayer& layer) const = 0;

  /// Position in all_formats().
  [[nodiscard]] std::size_t index() const noexcept;
};

/// The stored scale of a group whose largest magnitude is `amax`: what dequantization multiplies by.
[[nodiscard]] float stored_scale(const FormatDescriptor& format, float amax);

/// Every format, in the order of formats.def.
[[nodiscard]] const std::vector<const FormatDescriptor*>& all_formats();

/// The format called `name`, or null.
[[nodiscard]] const FormatDescriptor* find_format(std::string_view name) noexcept;

/// The format called `name`.  Throws usage with the nearest name.
[[nodiscard]] const FormatDescriptor& format_named(std::string_view name);

}  // namespace halftone
