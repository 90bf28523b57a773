#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <vector>

#include <halftone/codec/minifloat.hpp>

#include "base/fail.hpp"
#include "exec/bands.hpp"
#include "exec/float_check.hpp"
#include "exec/input_band.hpp"
#include "exec/work.hpp"

namespace halftone::exec {
namespace {

/// Quantizes one weight.  Formats with one scale per tensor read it twice: first for the largest
/// magnitude, then for the codes; the others find their scales on the way.
class QuantizeWork : public Work {
 public:
  QuantizeWork(const Job& job, const Context& context) : job_(job), context_(context), weight_(job.inputs[0].info) {
    const Shape& shape = weight_.shape;
    const ScaleGrid grid = job.spec.format->grid();
    measure_first_ = grid == ScaleGrid::tensor;
    const std::uint64_t multiple = grid == ScaleGrid::block ? job.spec.block_size : 1;
    bands_ = Bands(shape[0], row_bytes(), multiple, context.band_bytes);
    if (job.outputs.size() > 1) scales_.resize(element_count(context.plan.output.tensors[job.outputs[1]].shape));
  }

  [[nodiscard]] std::size_t stages() const override { return measure_first_ ? 2 : 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return bands_.count(); }

  std::uint64_t run(std::size_t stage, std::size_t task) override {
    const bool again = stage + 1 < stages();
    const InputBand in(context_.files, job_.inputs[0], bands_.first(task) * row_bytes(), bands_.size(task) * row_bytes(), again);
    const MatrixView band{in.data(), weight_.dtype, bands_.size(task), weight_.shape[1]};
    if (again) {
      note_magnitude(context_.backend.max_magnitude(band));
    } else {
      quantize(band, task);
    }
    in.check();
    return again ? 0 : band.elements();
  }

  std::uint64_t finish(std::size_t stage) override {
    if (stage == 0) check_values();
    if (stage + 1 < stages()) return 0;
    if (measure_first_) scales_[0] = stored_scale(*job_.spec.format, amax());
    if (magnitude_ == 0) write_zeros();
    write_scales();
    return scales_.size() * sizeof(float);
  }

 private:
  [[nodiscard]] std::uint64_t row_bytes() const { return weight_.shape[1] * bits_of(weight_.dtype) / 8; }
  [[nodiscard]] float amax() const { return codec::from_bits(magnitude_); }

  void note_magnitude(std::uint32_t magnitude) {
    std::uint32_t seen = magnitude_.load(std::memory_order_relaxed);
    while (magnitude > seen && !magnitude_.compare_exchange_weak(seen, magnitude, std::memory_order_relaxed)) {
    }
  }

  void quantize(const MatrixView& band, std::size_t task) {
    const std::uint64_t first_row = bands_.first(task);
    io::OutputFile::Window out(context_.output, context_.offset(job_.outputs[0], first_row * band.columns), band.elements());
    note_magnitude(context_.backend.quantize(job_.spec, band, amax(), {out.bytes().data(), scales_of(first_row)}));
    out.flush();
  }

  /// Where the scales of the band that begins at `row` go.
  [[nodiscard]] float* scales_of(std::uint64_t row) {
    switch (job_.spec.format->grid()) {
      case ScaleGrid::none:
      case ScaleGrid::tensor: return nullptr;
      case ScaleGrid::row: return scales_.data() + row;
      case ScaleGrid::block:
        return scales_.data() + row / job_.spec.block_size * base::ceil_div(weight_.shape[1], job_.spec.block_size);
    }
    return nullptr;
  }

  /// The largest magnitude tells at once whether there is anything to look for.
  void check_values() const {
    const bool scaled = job_.spec.format->grid() != ScaleGrid::none;
    const float limit = scaled ? std::numeric_limits<float>::infinity() : codec::E4M3::max_value();
    if (magnitude_ < codec::kInfinityBits && !(amax() > limit)) return;
    reject_first_beyond(context_.backend, weight_, context_.files.bytes(job_.inputs[0]), limit, limit, true);
    context_.files.check();
    fail(ErrorKind::internal, "the tensor '{}' has no value beyond its largest magnitude", weight_.name);
  }

  /// The reference stores an all-zero weight with codes 0, also for -0, and scales of 1.  A
  /// format without scales has no such rule and keeps the sign.
  void write_zeros() {
    if (job_.spec.format->grid() == ScaleGrid::none) return;
    std::fill(scales_.begin(), scales_.end(), 1.0F);
    for (std::uint64_t task = 0; task < bands_.count(); ++task) {
      const std::uint64_t columns = weight_.shape[1];
      const std::uint64_t offset = context_.offset(job_.outputs[0], bands_.first(task) * columns);
      io::OutputFile::Window out(context_.output, offset, bands_.size(task) * columns);
      std::memset(out.bytes().data(), 0, out.bytes().size());
      out.flush();
    }
  }

  void write_scales() {
    if (!scales_.empty()) context_.output.write_at(context_.offset(job_.outputs[1]), std::as_bytes(std::span(scales_)));
  }

  const Job& job_;
  const Context& context_;
  const TensorInfo& weight_;
  Bands bands_;
  bool measure_first_ = false;
  std::atomic<std::uint32_t> magnitude_{0};
  std::vector<float> scales_;
};

}  // namespace

std::unique_ptr<Work> make_quantize_work(const Job& job, const Context& context) {
  return std::make_unique<QuantizeWork>(job, context);
}

}  // namespace halftone::exec
