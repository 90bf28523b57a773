#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <halftone/tensor.hpp>

namespace halftone {

/// Which elements of a rows × columns weight share one scale.
enum class ScaleGrid : std::uint8_t {
  none,    ///< no scale
  tensor,  ///< all elements
  row,     ///< each row
  block,   ///< each square of block_size × block_size elements
  run,     ///< each run of Storage::run, or of QuantSpec::group_size, consecutive elements of a row
};

class FormatDescriptor;

/// How the scale of a group is chosen.
enum class ScaleMethod : std::uint8_t {
  absmax,  ///< from its largest magnitude
  search,  ///< of several, that with the smallest squared error over the group; never worse than absmax
};

/// Everything that selects the maths for one tensor.
struct QuantSpec {
  const FormatDescriptor* format = nullptr;
  std::uint32_t block_size = 0;      ///< elements on each side of a block, or of a flat block; 0 where the format has none
  bool full_precision_mm = false;    ///< ask the loader to dequantize and multiply in full precision
  bool input_scale = false;          ///< write an activation scale of 1.0 where the format takes one
  std::uint32_t rotation_group = 0;  ///< columns that are rotated together before quantization; 0 for no rotation
  ScaleMethod scales = ScaleMethod::absmax;
  std::uint32_t group_size = 0;  ///< elements of a row that share a scale; 0 where the format has no choice
  bool double_quant = false;     ///< quantize the scales, too, where the format knows how
};

/// Yes, or the reason why not.
struct Support {
  bool ok = true;
  std::string reason;
  explicit operator bool() const noexcept { return ok; }
};

/// What a tensor of a quantized layer holds.
enum class Role : std::uint8_t {
  codes,
  scales,         ///< one for each group
  tensor_scale,   ///< one for the whole weight
  largest_scale,  ///< the largest of the groups' scales, as F32
  row_scales,     ///< one for each row, above those of its groups
  nested_scales,  ///< one for each block of scales that are quantized themselves
  nested_levels,  ///< the values of the codes of such scales
  nested_state,   ///< the layer's JSON, with a blank for the mean of such scales
  levels,         ///< the values of the codes, where a stored layer brings its own
  bias,           ///< of the layer, corrected for the error of the weight
  constant,       ///< what is known before any weight is read: the layer's JSON, an activation scale, a table
};

/// A tensor that a format writes for one layer; `bytes` holds the contents of a constant one or of a nested_state.
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
  bool per_row = false;                ///< `per_row` of the layer's JSON
  bool rotated = false;                ///< `convrot` of the layer's JSON
  std::uint32_t rotation_group = 256;  ///< `convrot_groupsize` of the layer's JSON, 256 where absent, as ComfyUI has it
  std::uint32_t nested_block = 0;      ///< `nested_blocksize` of the layer's JSON, 0 where absent
  std::optional<float> nested_offset;  ///< `nested_offset` of the layer's JSON
  std::optional<Shape> shape;          ///< of the weight before it was packed or padded, where the JSON tells
  const TensorInfo* weight = nullptr;  ///< never null
  std::map<std::string_view, const TensorInfo*> companions;  ///< by suffix after the layer's name: ".weight_scale"

  /// The companion with this suffix, or null.
  [[nodiscard]] const TensorInfo* companion(std::string_view suffix) const {
    const auto found = companions.find(suffix);
    return found == companions.end() ? nullptr : found->second;
  }
};

/// How a stored layer is read.
struct StoredSpec {
  QuantSpec spec;
  Shape shape;                                ///< of the dequantized weight
  const TensorInfo* scales = nullptr;         ///< Role::scales, or null
  const TensorInfo* tensor_scale = nullptr;   ///< Role::tensor_scale, or null
  const TensorInfo* row_scales = nullptr;     ///< Role::row_scales, or null
  const TensorInfo* levels = nullptr;         ///< Role::levels, or null for those of the format
  const TensorInfo* nested_scales = nullptr;  ///< Role::nested_scales, or null
  const TensorInfo* nested_levels = nullptr;  ///< Role::nested_levels, or null
  float nested_offset = 0;                    ///< what is added to scales that are quantized themselves
};

/// What a format says of a stored layer: how it is read, or, where the layer's description names this
/// format but its tensors do not fit, what it expects instead; neither for a layer of another format.
struct LayerReading {
  std::optional<StoredSpec> stored;
  std::string contradiction;  ///< "fp8 expects a '.weight_scale' of F32 [], not F32 [4]"
};

/// How a format lays out the codes and the scales of a weight.
struct Storage {
  ScaleGrid grid{};
  std::uint32_t code_bits = 8;
  std::uint32_t scale_bytes = 4;       ///< of the scale of a group
  std::uint32_t run = 0;               ///< elements that share a scale, for ScaleGrid::run
  std::uint32_t padding = 1;           ///< rows and columns are filled up with zeros to a multiple of this
  bool swizzled = false;               ///< scales lie in tiles of 128 × 4 (formats/swizzle.hpp), not row by row
  bool two_level = false;              ///< a scale of the whole weight over those of the groups
  bool row_scales = false;             ///< F32 scales of rows over those of their groups, which are fitted to the weights
  bool flat = false;                   ///< blocks run over the weight as one row, and the last is filled up with zeros
  bool unit_scales_for_zeros = false;  ///< a weight of zeros has scales of 1 and codes of 0, whatever the formula gives
};

/// What is known of a format besides its maths and its tensors.
struct FormatFacts {
  std::string_view name;          ///< as `--format` takes it
  std::string_view comfy_format;  ///< in `.comfy_quant`; empty for none
  std::string_view summary;       ///< one line for people
  std::string_view loaders;       ///< who loads it
  Dtype code_dtype{};
  Storage storage;
  std::vector<std::uint32_t> block_sizes;      ///< that `--block-size` may take, the default first; empty for none
  std::vector<std::uint32_t> rotation_groups;  ///< that `--rotation-group` may take, the default first; empty for none
  std::vector<std::uint32_t> group_sizes;      ///< that `--group-size` may take, the default first; empty for none
  std::uint32_t heuristic_block = 0;           ///< what `--heur` measures layers with where `--block-size` is not given
  std::uint32_t matmul_alignment = 1;          ///< what the loader's fast product needs both dimensions to be multiples of
  std::uint32_t tuned_rotation_group = 0;      ///< that the loader's GPU kernels are made for; 0 where any of the groups is as good
  std::string_view fast_on;                    ///< GPUs on which the loader multiplies in the format; empty for all that it runs on
  std::uint32_t column_multiple = 1;           ///< what the number of columns must be a multiple of
  bool takes_double_quant = false;             ///< whether `--double-quant` means anything
  bool takes_input_scale = false;              ///< whether `--input-scale` means anything
  bool needs_custom_node = false;              ///< stock ComfyUI does not load it, a custom node does
  bool keeps_unfit = false;  ///< a layer that does not fit is kept rather than refused, unless `--indivisible` says otherwise
  std::string_view plain;    ///< without rotation or blocks, for layers that do not fit or gain nothing; empty for none
  float largest_weight = std::numeric_limits<float>::infinity();  ///< that can be stored; infinite where a scale brings any into range
};

/// A format: its facts, and the names, shapes and JSON of its tensors.  Stateless and immortal.
class FormatDescriptor {
 public:
  explicit FormatDescriptor(FormatFacts facts) : facts_(std::move(facts)) {}
  virtual ~FormatDescriptor() = default;
  FormatDescriptor(const FormatDescriptor&) = delete;
  FormatDescriptor& operator=(const FormatDescriptor&) = delete;

  [[nodiscard]] const FormatFacts& facts() const noexcept { return facts_; }
  [[nodiscard]] std::string_view name() const noexcept { return facts_.name; }
  [[nodiscard]] const Storage& storage() const noexcept { return facts_.storage; }
  [[nodiscard]] ScaleGrid grid() const noexcept { return facts_.storage.grid; }

  /// Whether a rows × columns weight can be written with `spec`.
  [[nodiscard]] virtual Support accepts(const TensorInfo& weight, const QuantSpec& spec) const = 0;
  /// The `.comfy_quant` text of a layer; empty for none.
  [[nodiscard]] virtual std::string sidecar_json(const TensorInfo& /*weight*/, const QuantSpec& /*spec*/) const { return {}; }
  /// Every tensor that stands for `weight` in the output, the codes first.
  [[nodiscard]] virtual std::vector<LayerTensor> outputs(const TensorInfo& weight, const QuantSpec& spec) const = 0;
  /// Whether a stored layer is of this format.
  [[nodiscard]] virtual LayerReading recognise(const StoredLayer& layer) const = 0;

  /// Position in all_formats().
  [[nodiscard]] std::size_t index() const noexcept;

 private:
  FormatFacts facts_;
};

/// Whether `format` has scales to choose from: ScaleMethod::search means something to it.
[[nodiscard]] bool can_search_scales(const FormatDescriptor& format) noexcept;

/// The stored scale of a whole weight whose largest magnitude is `amax`, for formats that have one:
/// ScaleGrid::tensor and Storage::two_level.
[[nodiscard]] float tensor_scale(const FormatDescriptor& format, float amax);

/// Every format, in the order of formats.def.
[[nodiscard]] const std::vector<const FormatDescriptor*>& all_formats();

/// The format called `name`, or null.
[[nodiscard]] const FormatDescriptor* find_format(std::string_view name) noexcept;

/// The format called `name`.  Throws usage with the nearest name.
[[nodiscard]] const FormatDescriptor& format_named(std::string_view name);

}  // namespace halftone
