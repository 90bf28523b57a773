#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/backend.hpp>
#include <halftone/format.hpp>

/// Computing with quantized weights, without a file between.
///
///     halftone::Operations ops("cpu");
///     const halftone::QuantSpec spec{.format = &halftone::format_named("fp8-row")};
///     const halftone::LinearLayer layer = ops.quantize(spec, weight);          // rows × columns, F32, BF16 or F16
///     const auto linear = ops.linear(layer, halftone::Activations::dynamic);   // FP8 times FP8
///     linear->run(x, halftone::Dtype::BF16, y.data());                         // y = x · weightᵀ
///
/// tests/unit/linear_example_test.cpp is this example.

namespace halftone {

/// A quantized weight in memory.  The bytes are those that a file holds; `read_linear_layer()` reads them from one,
/// Operations::plain_tensors() gives them names and shapes.
struct LinearLayer {
  QuantSpec spec;
  Dtype dtype = Dtype::F32;              ///< of the weight before it was quantized
  std::uint64_t rows = 0;                ///< output features
  std::uint64_t columns = 0;             ///< input features
  std::vector<std::byte> codes;          ///< Role::codes
  std::vector<std::byte> scales;         ///< Role::scales; empty without
  float tensor_scale = 1.0F;             ///< Role::tensor_scale
  std::vector<std::byte> row_scales;     ///< Role::row_scales
  std::vector<std::byte> levels;         ///< Role::levels, where the layer brings its own
  std::vector<std::byte> nested_scales;  ///< Role::nested_scales
  std::vector<std::byte> nested_levels;  ///< Role::nested_levels
  float nested_offset = 0;               ///< StoredSpec::nested_offset
  std::vector<float> bias;               ///< one for each row; empty for none
  std::optional<float> input_scale;      ///< the scale of its inputs that a file holds
  bool scales_of_columns = false;        ///< of a transposed layer whose scales were those of rows
};

/// A tensor as a file would hold it.
struct PlainTensor {
  std::string name;
  Dtype dtype{};
  Shape shape;
  std::vector<std::byte> bytes;
};

/// What becomes of the inputs of a linear layer before they are multiplied.
enum class Activations : std::uint8_t {
  plain,    ///< nothing: the weight alone is quantized
  loader,   ///< they are quantized as ComfyUI does it; FP8 with the layer's input_scale, or with 1 where it has none
  dynamic,  ///< the same, with scales that are made from the inputs wherever there are scales
};

/// A linear layer on a device, ready to run: y = x · weightᵀ + bias.  One thread at a time uses it; the Operations that made it
/// outlive it.
class Linear {
 public:
  virtual ~Linear() = default;

  /// Which kernels multiply, "FP8 product" or "dequantize + BF16 product"; after a run, which did.
  [[nodiscard]] virtual std::string method() const = 0;
  [[nodiscard]] virtual std::uint64_t rows() const noexcept = 0;     ///< output features
  [[nodiscard]] virtual std::uint64_t columns() const noexcept = 0;  ///< input features

  /// `x`: any number of rows of columns() finite F32, BF16 or F16, in host memory; `y`: as many rows of rows() `out`, which is
  /// one of these types.  Throws usage for another shape or type, device.
  virtual void run(const MatrixView& x, Dtype out, std::byte* y) = 0;

  /// The median time, in seconds, of `repeats` runs with `x`, whose copies to and from a GPU are not counted.
  [[nodiscard]] virtual double seconds(const MatrixView& x, Dtype out, int repeats) = 0;
};

/// What the operations of one device do for each format.
class Operations {
 public:
  /// `device` as RunOptions::device; `threads` of the CPU, 0 for all.  Throws usage, device.
  explicit Operations(const std::string& device = "cpu", unsigned threads = 1);
  ~Operations();
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  /// "cpu (avx2)".
  [[nodiscard]] std::string_view device() const noexcept;
  [[nodiscard]] DeviceKind device_kind() const noexcept;

  /// The bytes that a conversion would write; sizes of 0 in `spec` stand for the format's defaults.  `weight`: F64, F32, BF16
  /// or F16.  Throws usage for a size that the format does not know, unsupported where the format does not
  /// accept its shape, not_finite, out_of_range.
  [[nodiscard]] LinearLayer quantize(const QuantSpec& spec, const MatrixView& weight) const;
  /// rows × columns values.
  [[nodiscard]] std::vector<float> dequantize(const LinearLayer& layer) const;
  /// What a file would hold of the layer whose weight is called `weight`, the codes first.  Throws unsupported for a layer
  /// with scales of columns.
  [[nodiscard]] std::vector<PlainTensor> plain_tensors(const LinearLayer& layer, const std::string& weight) const;
  /// The same weight with rows and columns exchanged, from the codes as they are; the bias is left behind.  Throws unsupported
  /// where can_transpose() says no.
  [[nodiscard]] LinearLayer transpose(const LinearLayer& layer) const;
  /// The layer, ready to run.  Throws unsupported where `activations` are to be quantized and supports() says no, device.
  [[nodiscard]] std::unique_ptr<Linear> linear(const LinearLayer& layer, Activations activations) const;
  /// A weight that is not quantized, as what the others are measured by.  A GPU holds and multiplies it in BF16.
  [[nodiscard]] std::unique_ptr<Linear> dense(const MatrixView& weight, std::span<const float> bias = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Whether the inputs of `layer` can be quantized so; formats of weights alone, NF4 for one, have nothing of that kind.
[[nodiscard]] Support can_quantize_activations(const LinearLayer& layer);

/// Whether rows and columns can be exchanged without quantizing anew: not where scales are those of runs of a row, and not
/// after a rotation of rows.
[[nodiscard]] Support can_transpose(const FormatDescriptor& format);

/// What the operation table says of a format, for people.
struct LinearFacts {
  std::string_view product;      ///< how a GPU multiplies, "FP8 product"
  std::string_view activations;  ///< what the inputs become; empty where they stay as they are
  bool fast = false;             ///< whether the codes themselves are multiplied, or decoded on the way; else they are dequantized first
};
[[nodiscard]] LinearFacts linear_facts(const FormatDescriptor& format);

/// The layer `name` ("blocks.0.mlp.0", with or without ".weight") of the model at `path`, with its bias and input scale.
/// Throws usage where there is no such layer or it is not quantized, and what opening a model may.
[[nodiscard]] LinearLayer read_linear_layer(const std::filesystem::path& path, std::string_view name);

}  // namespace halftone
