#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "exec/bands.hpp"
#include "exec/candidate_errors.hpp"
#include "exec/scale_writer.hpp"
#include "exec/weight_source.hpp"
#include "exec/work.hpp"
#include "formats/double_quant.hpp"
#include "formats/layer_layout.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::exec {
namespace {

/// The output of `job` that has this role, or nothing.
std::optional<std::uint32_t> output_of(const Job& job, Role role) {
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    if (job.roles[i] == role) return job.outputs[i];
  }
  return std::nullopt;
}

/// Raises `largest` to `value`.
void raise(std::atomic<std::uint32_t>& largest, std::uint32_t value) {
  std::uint32_t seen = largest.load(std::memory_order_relaxed);
  while (value > seen && !largest.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

/// Quantizes one weight.  Formats with a scale for the whole weight read it twice: first for the
/// largest magnitude, then for the codes; the others find their scales on the way.  Where a search chooses
/// that scale, the weight is read once more in between, for the errors of the candidates.
class QuantizeWork : public Work {
 public:
  QuantizeWork(const Job& job, const Context& context)
      : job_(job),
        context_(context),
        source_(job, context),
        weight_(source_.info()),
        layout_(job.spec, weight_.shape[0], weight_.shape[1]),
        scales_(context, layout_, output_of(job, Role::scales), output_of(job, Role::row_scales)),
        largest_scale_(output_of(job, Role::largest_scale)),
        bands_(layout_.rows(), row_bytes(), layout_.row_multiple(), context.band_bytes) {
    if (layout_.measures_first()) kept_.resize(bands_.count());
    if (CandidateErrors::are_needed(job.spec)) errors_stage_ = 1;
    if (job.spec.double_quant) nested_.resize(layout_.scale_count(layout_.rows()));
  }

  [[nodiscard]] std::size_t stages() const override { return 1U + (layout_.measures_first() ? 1U : 0U) + (errors_stage_ ? 1U : 0U); }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return bands_.count(); }

  std::uint64_t run(std::size_t stage, std::size_t task) override {
    const bool last = stage + 1 == stages();
    MatrixView band{nullptr, weight_.dtype, bands_.size(task), layout_.columns()};
    if (last && layout_.measures_first() && kept_[task]) {
      band.kept = kept_[task].get();
      const std::uint64_t written = quantize(band, task);
      kept_[task].reset();
      return written;
    }
    const std::uint64_t first = bands_.first(task) * layout_.columns();
    const WeightSource::Band in(source_, first, std::min(band.elements(), layout_.elements() - first), !last);
    band.data = in.data();
    std::uint64_t written = 0;
    if (last) {
      written = quantize(band, task);
    } else if (stage == errors_stage_) {
      errors_->add(band);
    } else if (errors_stage_) {
      raise(magnitude_, context_.backend.max_magnitude(band));
    } else {
      raise(magnitude_, context_.backend.max_magnitude_and_keep(band, kept_[task]));
    }
    in.check();
    return written;
  }

  std::uint64_t finish(std::size_t stage) override {
    if (stage == 0) {
      check_values();
      scaled_amax_ = amax();
      if (errors_stage_) errors_.emplace(context_.backend, job_.spec, amax());
    }
    if (stage == errors_stage_) scaled_amax_ = errors_->best_amax();
    if (stage + 1 < stages()) return 0;
    if (magnitude_ == 0 && job_.spec.format->storage().unit_scales_for_zeros) write_zeros();
    std::uint64_t written = write_float(Role::tensor_scale, magnitude_ == 0 ? 1.0F : tensor_scale(*job_.spec.format, scaled_amax_));
    if (!nested_.empty()) written += write_nested();
    if (largest_scale_) written += write_float(Role::largest_scale, formats::largest_scale(*job_.spec.format, largest_stored_));
    return written;
  }

 private:
  [[nodiscard]] std::uint64_t row_bytes() const { return layout_.columns() * bits_of(weight_.dtype) / 8; }
  [[nodiscard]] float amax() const { return codec::from_bits(magnitude_); }
  [[nodiscard]] const TensorInfo& codes() const { return context_.plan.output.tensors[job_.outputs[0]]; }

  /// The codes of a band in the output, padding behind the last row included.
  [[nodiscard]] io::OutputFile::Window codes_of(std::size_t task) const {
    const std::uint64_t begin = layout_.code_bytes(bands_.first(task));
    const std::uint64_t end = task + 1 == bands_.count() ? codes().bytes() : begin + layout_.code_bytes(bands_.size(task));
    return context_.window(job_.outputs[0], begin, end - begin);
  }

  /// Returns the bytes written.
  std::uint64_t quantize(const MatrixView& band, std::size_t task) {
    const std::uint64_t first_row = bands_.first(task);
    io::OutputFile::Window out = codes_of(task);
    std::vector<std::byte> scales = scales_.room(band.rows);
    // The last row of a flat weight may end early.
    const std::uint64_t elements = std::min(band.elements(), layout_.elements() - first_row * layout_.columns());
    const std::uint64_t whole = elements / std::max<std::uint64_t>(band.columns, 1);
    MatrixView rows = band;
    rows.rows = std::min(whole, band.rows);
    raise(magnitude_, context_.backend.quantize(job_.spec, rows, scaled_amax_, {out.bytes().data(), scales.data()}));
    const auto rest = out.bytes().subspan(layout_.code_bytes(rows.rows));
    if (rows.rows < band.rows) {
      quantize_partial_row(band.data + rows.rows * row_bytes(), elements - rows.elements(), rest,
                           scales.data() + layout_.scale_bytes(rows.rows));
    } else if (!rest.empty()) {
      std::memset(rest.data(), 0, rest.size());
    }
    out.flush();
    if (largest_scale_) note_scales(scales);
    if (!nested_.empty()) {
      std::memcpy(nested_.data() + layout_.first_scale(first_row), scales.data(), scales.size());
      return out.bytes().size();
    }
    return out.bytes().size() + scales_.write(first_row, scales);
  }

  /// The last row of a flat weight: `n` elements at `data`, filled up with zeros.
  void quantize_partial_row(const std::byte* data, std::uint64_t n, std::span<std::byte> codes, std::byte* scales) {
    std::vector<std::byte> row(row_bytes());
    std::memcpy(row.data(), data, n * bits_of(weight_.dtype) / 8);
    std::vector<std::byte> padded(layout_.code_bytes(1));
    raise(magnitude_,
          context_.backend.quantize(job_.spec, {row.data(), weight_.dtype, 1, layout_.columns()}, scaled_amax_, {padded.data(), scales}));
    std::memcpy(codes.data(), padded.data(), codes.size());
  }

  /// One-byte scales order like their values.
  void note_scales(const std::vector<std::byte>& scales) {
    const auto largest = std::max_element(scales.begin(), scales.end());
    if (largest != scales.end()) raise(largest_stored_, std::to_integer<std::uint32_t>(*largest));
  }

  /// The largest magnitude tells at once whether there is anything to look for.
  void check_values() const {
    const float limit = job_.spec.format->facts().largest_weight;
    if (magnitude_ < codec::kInfinityBits && !(amax() > limit)) return;
    source_.reject_first_beyond(limit);
    context_.files.check();
    fail(ErrorKind::out_of_range, "the tensor '{}' holds values that exceed the range of binary32 when they are rotated", weight_.name);
  }

  /// The reference stores an all-zero weight with codes 0, also for -0, and scales of 1.
  void write_zeros() {
    for (std::uint64_t task = 0; task < bands_.count(); ++task) {
      io::OutputFile::Window out = codes_of(task);
      std::memset(out.bytes().data(), 0, out.bytes().size());
      out.flush();
      const std::vector<float> ones(layout_.scale_count(bands_.size(task)), 1.0F);
      scales_.write(bands_.first(task), std::as_bytes(std::span(ones)));
    }
  }

  /// Quantizes the scales of all bands and writes what becomes of them; returns the bytes written.
  [[nodiscard]] std::uint64_t write_nested() const {
    const formats::NestedScales nested = formats::nest(nested_);
    std::string state = job_.bytes;
    // The blank stands before the closing brace.
    state.replace(state.size() - 1 - formats::kOffsetWidth, formats::kOffsetWidth, formats::offset_text(nested.offset));
    return write_bytes(Role::scales, std::as_bytes(std::span(nested.codes))) +
           write_bytes(Role::nested_scales, std::as_bytes(std::span(nested.magnitudes))) +
           write_bytes(Role::nested_state, std::as_bytes(std::span(state)));
  }

  /// Writes the output of this role, if there is one; returns the bytes written.
  std::uint64_t write_float(Role role, float value) const { return write_bytes(role, std::as_bytes(std::span(&value, 1))); }
  [[nodiscard]] std::uint64_t write_bytes(Role role, std::span<const std::byte> bytes) const {
    const auto output = output_of(job_, role);
    if (!output) return 0;
    context_.write_at(*output, 0, bytes);
    return bytes.size();
  }

  const Job& job_;
  const Context& context_;
  WeightSource source_;
  const TensorInfo& weight_;
  formats::LayerLayout layout_;
  ScaleWriter scales_;
  std::optional<std::uint32_t> largest_scale_;
  Bands bands_;
  std::atomic<std::uint32_t> magnitude_{0};
  float scaled_amax_ = 0;                    ///< the magnitude that the scale of the whole weight is made from
  std::optional<std::size_t> errors_stage_;  ///< that finds errors_, where a search chooses that scale
  std::optional<CandidateErrors> errors_;
  std::atomic<std::uint32_t> largest_stored_{0};
  std::vector<float> nested_;                    ///< the scales of all bands, where they are quantized themselves
  std::vector<std::unique_ptr<KeptBand>> kept_;  ///< one for each band where measuring comes first
};

}  // namespace

std::unique_ptr<Work> make_quantize_work(const Job& job, const Context& context) { return std::make_unique<QuantizeWork>(job, context); }

}  // namespace halftone::exec
