#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "exec/bands.hpp"
#include "exec/candidate_errors.hpp"
#include "exec/layer_output.hpp"
#include "exec/weight_source.hpp"
#include "exec/work.hpp"
#include "formats/layer_layout.hpp"

namespace halftone::exec {
namespace {

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
        output_(job, context, layout_),
        bands_(layout_.rows(), row_bytes(), layout_.row_multiple(), context.band_bytes) {
    if (layout_.measures_first()) kept_.resize(bands_.count());
    if (CandidateErrors::are_needed(job.spec)) errors_stage_ = 1;
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
    WeightSource::Band in(source_, first, std::min(band.elements(), layout_.elements() - first), !last);
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
      if (kept_[task]) in.read_last();
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
    if (magnitude_ == 0) output_.write_zeros(bands_);
    return output_.finish(magnitude_ == 0 ? 0.0F : scaled_amax_);
  }

 private:
  [[nodiscard]] std::uint64_t row_bytes() const { return layout_.columns() * bits_of(weight_.dtype) / 8; }
  [[nodiscard]] float amax() const { return codec::from_bits(magnitude_); }

  /// Returns the bytes written.
  std::uint64_t quantize(const MatrixView& band, std::size_t task) {
    const std::uint64_t first_row = bands_.first(task);
    io::OutputFile::Window out = output_.codes_of(first_row, band.rows);
    std::vector<std::byte> scales = output_.scale_room(band.rows);
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
    return out.bytes().size() + output_.write_scales(first_row, scales);
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

  /// The largest magnitude tells at once whether there is anything to look for.
  void check_values() const {
    const float limit = job_.spec.format->facts().largest_weight;
    if (magnitude_ < codec::kInfinityBits && !(amax() > limit)) return;
    source_.reject_first_beyond(limit);
    context_.files.check();
    source_.refuse_rotation(amax());
  }

  const Job& job_;
  const Context& context_;
  WeightSource source_;
  const TensorInfo& weight_;
  formats::LayerLayout layout_;
  LayerOutput output_;
  Bands bands_;
  std::atomic<std::uint32_t> magnitude_{0};
  float scaled_amax_ = 0;                    ///< the magnitude that the scale of the whole weight is made from
  std::optional<std::size_t> errors_stage_;  ///< that finds errors_, where a search chooses that scale
  std::optional<CandidateErrors> errors_;
  std::vector<std::unique_ptr<KeptBand>> kept_;  ///< one for each band where measuring comes first
};

}  // namespace

std::unique_ptr<Work> make_quantize_work(const Job& job, const Context& context) { return std::make_unique<QuantizeWork>(job, context); }

}  // namespace halftone::exec
