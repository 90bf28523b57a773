#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "exec/bands.hpp"
#include "exec/scale_writer.hpp"
#include "exec/work.hpp"
#include "formats/layer_layout.hpp"

namespace halftone::exec {

/// Raises `largest` to `value`.
void raise(std::atomic<std::uint32_t>& largest, std::uint32_t value);

/// The output of `job` that has this role, or nothing.
[[nodiscard]] std::optional<std::uint32_t> output_of(const Job& job, Role role);

/// The tensors that stand for a quantized weight in the output.  Members may be called from several threads at once, for
/// different rows.
class LayerOutput {
 public:
  LayerOutput(const Job& job, const Context& context, const formats::LayerLayout& layout);

  /// Room for the scales of `rows` rows, as backends give them.
  [[nodiscard]] std::vector<std::byte> scale_room(std::uint64_t rows) const { return scales_.room(rows); }
  /// The codes of rows [first, first + rows), of the last ones with the padding behind them.
  [[nodiscard]] io::OutputFile::Window codes_of(std::uint64_t first, std::uint64_t rows) const;
  /// Writes the scales of the rows from `first` on, or keeps them for finish() where they are quantized themselves; returns
  /// the bytes written.
  std::uint64_t write_scales(std::uint64_t first, std::span<const std::byte> scales);
  /// Writes what is known when all rows are: the scale of the whole weight, made from `amax`, and what scales of
  /// groups add up to; returns the bytes written.
  std::uint64_t finish(float amax) const;
  /// Overwrites what was written for a weight of zeros, where its format has a special form of them: the reference
  /// stores codes 0, also for -0, and scales of 1.
  void write_zeros(const Bands& bands);
  /// Writes the whole of the output of this role, if there is one; returns the bytes written.
  std::uint64_t write_bytes(Role role, std::span<const std::byte> bytes) const;

 private:
  [[nodiscard]] const TensorInfo& codes() const { return context_.plan.output.tensors[job_.outputs[0]]; }
  std::uint64_t write_float(Role role, float value) const { return write_bytes(role, std::as_bytes(std::span(&value, 1))); }
  [[nodiscard]] std::uint64_t write_nested() const;

  const Job& job_;
  const Context& context_;
  const formats::LayerLayout& layout_;
  ScaleWriter scales_;
  bool has_largest_scale_;
  std::atomic<std::uint32_t> largest_stored_{0};
  std::vector<float> nested_;  ///< the scales of all rows, where they are quantized themselves
};

}  // namespace halftone::exec
