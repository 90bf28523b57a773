#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "exec/candidate_errors.hpp"
#include "exec/layer_output.hpp"
#include "exec/layer_statistics.hpp"
#include "exec/store_floats.hpp"
#include "exec/weight_source.hpp"
#include "exec/work.hpp"
#include "formats/rotation.hpp"
#include "learn/quantized_weight.hpp"
#include "learn/solve.hpp"

namespace halftone::exec {
namespace {

/// Quantizes one weight as a whole: scales, codes, and the bias that makes up for what is lost.  One task, for each code
/// may depend on every weight.
class LearnWork : public Work {
 public:
  LearnWork(const Job& job, const Context& context)
      : job_(job),
        context_(context),
        source_(job, context),
        info_(source_.info()),
        layout_(job.spec, info_.shape[0], info_.shape[1]),
        output_(job, context, layout_),
        bands_(layout_.rows(), layout_.columns() * sizeof(float), layout_.row_multiple(), context.band_bytes) {}

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return 1; }

  std::uint64_t run(std::size_t, std::size_t) override {
    const auto start = std::chrono::steady_clock::now();
    std::vector<float> weight = read_weight();
    if (std::all_of(weight.begin(), weight.end(), [](float value) { return value == 0.0F; })) return write_zeros(weight);
    const std::shared_ptr<learn::Engine> engine = context_.backend.make_engine();
    StatisticsReader statistics(*job_.learn, context_, info_, job_.spec.rotation_group);
    rotate(weight);
    const std::vector<float> original = weight;
    if (statistics.moves_target())
      weight = learn::moved_target(*engine, original, info_.shape[0], statistics.moments(), job_.learn->damping);
    learn::QuantizedWeight quantized(job_.spec, layout_, weight, info_.shape[0], info_.shape[1]);
    quantized.round_to_nearest(plain_spec(), context_.backend, amax_for_scales(weight), search_weights(statistics));
    LearnedLayer learned = learn::solve(*engine, *job_.learn, quantized, statistics.moments());
    std::uint64_t written = write(quantized);
    written += write_bias(quantized, original, statistics);
    learned.tensor = job_.inputs[0].info.name;
    learned.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    context_.note(job_, std::move(learned));
    return written;
  }

 private:
  /// The weights are rotated by then.
  [[nodiscard]] QuantSpec plain_spec() const {
    QuantSpec spec = job_.spec;
    spec.rotation_group = 0;
    return spec;
  }

  [[nodiscard]] std::vector<float> read_weight() {
    const std::uint64_t n = element_count(info_.shape);
    std::vector<float> weight(n);
    const WeightSource::Band in(source_, 0, n, false);
    context_.backend.to_float(info_.dtype, in.data(), n, weight.data());
    const std::uint32_t largest = context_.backend.max_magnitude(view(weight));
    const float limit = job_.spec.format->facts().largest_weight;
    if (largest >= codec::kInfinityBits || codec::from_bits(largest) > limit) {
      source_.reject_first_beyond(limit);
      context_.files.check();
    }
    in.check();
    return weight;
  }

  [[nodiscard]] MatrixView view(const std::vector<float>& weight) const {
    return {reinterpret_cast<const std::byte*>(weight.data()), Dtype::F32, info_.shape[0], info_.shape[1]};
  }

  void rotate(std::vector<float>& weight) const {
    if (job_.spec.rotation_group == 0) return;
    formats::rotate_groups(weight.data(), weight.size(), job_.spec.rotation_group);
    if (context_.backend.max_magnitude(view(weight)) < codec::kInfinityBits) return;
    fail(ErrorKind::out_of_range, "the tensor '{}' holds values that exceed the range of binary32 when they are rotated", info_.name);
  }

  /// The magnitude that the scale of the whole weight is made from.
  [[nodiscard]] float amax_for_scales(const std::vector<float>& weight) const {
    const float amax = codec::from_bits(context_.backend.max_magnitude(view(weight)));
    if (!CandidateErrors::are_needed(job_.spec)) return amax;
    const QuantSpec spec = plain_spec();
    CandidateErrors errors(context_.backend, spec, amax);
    errors.add(view(weight));
    return errors.best_amax();
  }

  /// What the squared errors of a search for scales are weighted with, by the column; empty for 1.
  [[nodiscard]] std::vector<float> search_weights(const StatisticsReader& statistics) const {
    return job_.spec.scales == ScaleMethod::search ? statistics.search_weights() : std::vector<float>();
  }

  std::uint64_t write(const learn::QuantizedWeight& quantized) {
    std::uint64_t written = 0;
    for (std::uint64_t band = 0; band < bands_.count(); ++band) {
      const std::uint64_t first = bands_.first(band);
      io::OutputFile::Window out = output_.codes_of(first, bands_.size(band));
      const auto codes = quantized.packed_codes(first, bands_.size(band));
      std::memset(out.bytes().data(), 0, out.bytes().size());
      std::memcpy(out.bytes().data(), codes.data(), std::min<std::size_t>(codes.size(), out.bytes().size()));
      out.flush();
      written += out.bytes().size() + output_.write_scales(first, quantized.scales_of(first, bands_.size(band)));
    }
    return written + output_.finish(quantized.scaled_amax());
  }

  std::uint64_t write_zeros(const std::vector<float>& weight) {
    learn::QuantizedWeight quantized(job_.spec, layout_, weight, info_.shape[0], info_.shape[1]);
    quantized.round_to_nearest(plain_spec(), context_.backend, 0.0F, {});
    const std::uint64_t written = write(quantized);
    output_.write_zeros(bands_);
    if (job_.learn->bias) return written + copy_bias();
    return written;
  }

  std::uint64_t copy_bias() const { return output_.write_bytes(Role::bias, context_.files.bytes(*job_.learn->bias)); }

  /// b + (W - Ŵ) · mean, or where the layer's input is that of a quantized model, b + W · mean - Ŵ · mean of that.
  std::uint64_t write_bias(const learn::QuantizedWeight& quantized, const std::vector<float>& original,
                           const StatisticsReader& statistics) const {
    if (!job_.learn->bias) return 0;
    const std::vector<double> change = quantized.lost_outputs(original, statistics.mean(), statistics.mean_quantized());
    const TensorInfo& info = job_.learn->bias->info;
    std::vector<float> bias(change.size());
    context_.backend.to_float(info.dtype, context_.files.bytes(*job_.learn->bias).data(), bias.size(), bias.data());
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(static_cast<double>(bias[i]) + change[i]);
    std::vector<std::byte> stored(info.bytes());
    if (info.dtype == Dtype::F64) {
      const std::vector<double> wide(bias.begin(), bias.end());
      std::memcpy(stored.data(), wide.data(), stored.size());
    } else {
      store_floats(context_, info, 0, bias, bias.size(), stored.data());
    }
    return output_.write_bytes(Role::bias, stored);
  }

  const Job& job_;
  const Context& context_;
  WeightSource source_;
  const TensorInfo& info_;
  formats::LayerLayout layout_;
  LayerOutput output_;
  Bands bands_;
};

}  // namespace

std::unique_ptr<Work> make_learn_work(const Job& job, const Context& context) { return std::make_unique<LearnWork>(job, context); }

}  // namespace halftone::exec
