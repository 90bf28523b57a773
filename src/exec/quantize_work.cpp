#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "exec/bands.hpp"
#include "exec/float_check.hpp"
#include "exec/input_band.hpp"
#include "exec/work.hpp"
#include "formats/layer_layout.hpp"

namespace halftone::exec {
namespace {

/// Quantizes one weight.  Formats with one scale per tensor read it twice: first for the largest
/// magnitude, then for the codes; the others find their scales on the way.
class QuantizeWork : public Work {
 public:
  QuantizeWork(const Job& job, const Context& context)
      : job_(job), context_(context), weight_(job.inputs[0].info), layout_(job.spec, weight_.shape[1]) {
    bands_ = Bands(weight_.shape[0], row_bytes(), layout_.row_multiple(), context.band_bytes);
    if (layout_.measures_first()) kept_.resize(bands_.count());
    if (job.outputs.size() > 1) scales_.resize(element_count(context.plan.output.tensors[job.outputs[1]].shape));
  }

  [[nodiscard]] std::size_t stages() const override { return layout_.measures_first() ? 2 : 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return bands_.count(); }

  std::uint64_t run(std::size_t stage, std::size_t task) override {
    const bool measure = stage + 1 < stages();
    MatrixView band{nullptr, weight_.dtype, bands_.size(task), weight_.shape[1]};
    if (!measure && layout_.measures_first() && kept_[task]) {
      band.kept = kept_[task].get();
      quantize(band, task);
      kept_[task].reset();
      return layout_.code_bytes(band.rows);
    }
    const InputBand in(context_.files, job_.inputs[0], bands_.first(task) * row_bytes(), bands_.size(task) * row_bytes(), measure);
    band.data = in.data();
    if (measure) {
      note_magnitude(context_.backend.max_magnitude_and_keep(band, kept_[task]));
    } else {
      quantize(band, task);
    }
    in.check();
    return measure ? 0 : layout_.code_bytes(band.rows);
  }

  std::uint64_t finish(std::size_t stage) override {
    if (stage == 0) check_values();
    if (stage + 1 < stages()) return 0;
    if (layout_.measures_first()) scales_[0] = stored_scale(*job_.spec.format, amax());
    if (magnitude_ == 0) write_zeros();
    write_scales();
    return scales_.size() * sizeof(float);
  }

 private:
  [[nodiscard]] std::uint64_t row_bytes() const { return weight_.shape[1] * bits_of(weight_.dtype) / 8; }
  [[nodiscard]] std::uint64_t codes_offset(std::uint64_t row) const { return context_.offset(job_.outputs[0], layout_.code_bytes(row)); }
  [[nodiscard]] float amax() const { return codec::from_bits(magnitude_); }

  void note_magnitude(std::uint32_t magnitude) {
    std::uint32_t seen = magnitude_.load(std::memory_order_relaxed);
    while (magnitude > seen && !magnitude_.compare_exchange_weak(seen, magnitude, std::memory_order_relaxed)) {
    }
  }

  void quantize(const MatrixView& band, std::size_t task) {
    const std::uint64_t first_row = bands_.first(task);
    io::OutputFile::Window out(context_.output, codes_offset(first_row), layout_.code_bytes(band.rows));
    float* scales = layout_.has_scales() ? scales_.data() + layout_.first_scale(first_row) : nullptr;
    note_magnitude(context_.backend.quantize(job_.spec, band, amax(), {out.bytes().data(), scales}));
    out.flush();
  }

  /// The largest magnitude tells at once whether there is anything to look for.
  void check_values() const {
    const float limit = job_.spec.format->largest_weight();
    if (magnitude_ < codec::kInfinityBits && !(amax() > limit)) return;
    reject_first_beyond(context_.backend, weight_, context_.files.bytes(job_.inputs[0]), limit, limit, true);
    context_.files.check();
    fail(ErrorKind::internal, "the tensor '{}' has no value beyond its largest magnitude", weight_.name);
  }

  /// The reference stores an all-zero weight with codes 0, also for -0, and scales of 1.  A
  /// format without scales has no such rule and keeps the sign.
  void write_zeros() {
    if (!layout_.has_scales()) return;
    std::fill(scales_.begin(), scales_.end(), 1.0F);
    for (std::uint64_t task = 0; task < bands_.count(); ++task) {
      io::OutputFile::Window out(context_.output, codes_offset(bands_.first(task)), layout_.code_bytes(bands_.size(task)));
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
  formats::LayerLayout layout_;
  Bands bands_;
  std::atomic<std::uint32_t> magnitude_{0};
  std::vector<float> scales_;
  std::vector<std::unique_ptr<KeptBand>> kept_;  ///< one for each band where measuring comes first
};

}  // namespace

std::unique_ptr<Work> make_quantize_work(const Job& job, const Context& context) { return std::make_unique<QuantizeWork>(job, context); }

}  // namespace halftone::exec
