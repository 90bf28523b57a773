#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <halftone/format.hpp>

namespace halftone {

namespace learn {
class Engine;
}  // namespace learn

/// A band of a weight in the memory of a device, between its measuring and its quantizing.
class KeptBand {
 public:
  virtual ~KeptBand() = default;
};

/// `rows` × `columns` elements of `dtype`, row-major and contiguous, at any byte alignment.
struct MatrixView {
  const std::byte* data = nullptr;
  Dtype dtype{};
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  const KeptBand* kept = nullptr;  ///< the same elements where the device has kept them; `data` is then not read

  [[nodiscard]] std::uint64_t elements() const noexcept { return rows * columns; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return elements() * bits_of(dtype) / 8; }
};

/// Where a band of codes goes, and the scales that belong to it.
struct QuantizedBand {
  std::byte* codes = nullptr;  ///< padded columns × Storage::code_bits for each row
  /// Storage::scale_bytes for each group of the band, row-major, and with Storage::row_scales the F32 scale of each row
  /// behind those of its groups; null without such scales.
  std::byte* scales = nullptr;
};

/// A sum of squared errors in units of 2^-60, so that it does not depend on the order.
__extension__ using ErrorSum = unsigned __int128;

/// What a backend runs on.
enum class DeviceKind : std::uint8_t { cpu, gpu };

/// The primitives of one device.  A band is a run of whole rows, for block formats a multiple of
/// the block size; results do not depend on how a weight is cut into bands.
///
/// Magnitudes are reported as the bits of a binary32 without its sign: such bits order like the
/// values, and NaN and infinity are at or above codec::kInfinityBits.
///
/// Members may be called from several threads at once.  They return when the work is done: the
/// caller's buffers are free again.  They throw Error of kind device where a device fails.
class Backend {
 public:
  virtual ~Backend() = default;

  /// "cpu (avx2)": the device and what it runs with.
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual DeviceKind kind() const noexcept = 0;
  /// "cpu", "NVIDIA H100": what learned codes depend on besides their inputs.
  [[nodiscard]] virtual std::string_view product() const noexcept = 0;

  /// Whether weights of `source` can be quantized with `spec` here.
  [[nodiscard]] virtual Support supports(const QuantSpec& spec, Dtype source) const = 0;

  /// Bits of the largest magnitude in `band` after conversion to binary32; 0 for an empty band.
  [[nodiscard]] virtual std::uint32_t max_magnitude(const MatrixView& band) const = 0;

  /// The same, and `kept` set to the band where the device keeps a copy of it for quantize().
  [[nodiscard]] virtual std::uint32_t max_magnitude_and_keep(const MatrixView& band, std::unique_ptr<KeptBand>& kept) const {
    kept.reset();
    return max_magnitude(band);
  }

  /// Quantizes `band` and returns its largest magnitude.  `tensor_amax` is the largest magnitude
  /// of the whole weight, or what a search puts in its place, used by formats that have a scale for it and ignored by the others.
  /// Formats of ScaleGrid::tensor write no scales here.  Columns that Storage::padding adds get
  /// codes and scales of 0.  Non-finite weights give unspecified codes.
  virtual std::uint32_t quantize(const QuantSpec& spec, const MatrixView& band, float tensor_amax, const QuantizedBand& out) const = 0;

  /// Writes the values of `band` (codes; `columns` without padding) to `out`, `rows` × `columns`
  /// binary32.  `scales` are those of the band's groups, as in QuantizedBand; `tensor_scale` is that
  /// of the whole weight, for formats that have one.
  virtual void dequantize(const QuantSpec& spec, const MatrixView& band, const std::byte* scales, float tensor_scale, float* out) const = 0;

  /// Adds to sums[i] the squared errors of the rows of `band`, quantized with `tensor_amaxes[i]` as quantize() takes it.  The
  /// error of a row is the sum of ((value - weight) * unit)²: in binary32 over 16 lanes, element j in lane j mod 16, for 512
  /// elements at a time; then over the lanes by halves; then in binary64, cut to whole units.
  virtual void add_squared_errors(const QuantSpec& spec, const MatrixView& band, std::span<const float> tensor_amaxes, float unit,
                                  std::span<ErrorSum> sums) const = 0;

  /// Converts `n` elements of F64, F32, BF16 or F16 to binary32, rounding to nearest even.
  virtual void to_float(Dtype source, const std::byte* data, std::uint64_t n, float* out) const = 0;

  /// Converts `n` binary32 to F32, BF16 or F16, rounding to nearest even; overflow gives infinity.
  virtual void from_float(const float* data, std::uint64_t n, Dtype target, std::byte* out) const = 0;

  /// Whether there are engines here.
  [[nodiscard]] virtual Support supports_learning() const { return {}; }
  /// Device memory that the user of one engine may have; nothing where the matrices of engines lie in the memory of the host.
  [[nodiscard]] virtual std::optional<std::uint64_t> engine_bytes() const noexcept { return {}; }

  /// GPUs whose engines work side by side; 1 for a processor, whose engines share its threads.
  [[nodiscard]] virtual std::size_t devices() const noexcept { return 1; }
  /// Engines that are of use at once.
  [[nodiscard]] virtual std::size_t engines_at_once() const noexcept { return SIZE_MAX; }
  /// One sentence about a device that failed and was not needed; empty where there is none.
  [[nodiscard]] virtual std::string failed_device() const { return {}; }

  /// A device for the matrices of learned rounding, for the use of one thread, who takes `bytes` of memory at most.  Waits
  /// while others have so much that there is no room.
  [[nodiscard]] virtual std::shared_ptr<learn::Engine> make_engine(std::uint64_t bytes) const = 0;
};

}  // namespace halftone
