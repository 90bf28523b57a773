#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "exec/candidate_errors.hpp"
#include "exec/executor.hpp"
#include "exec/layer_output.hpp"
#include "exec/statistics_reader.hpp"
#include "exec/store_floats.hpp"
#include "exec/weight_source.hpp"
#include "exec/work.hpp"
#include "learn/lora.hpp"
#include "learn/move_target.hpp"
#include "learn/quantized_weight.hpp"
#include "learn/solve.hpp"
#include "learn/squared_norm.hpp"

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
    const std::shared_ptr<learn::Engine> engine =
        context_.backend.make_engine(std::max(learning_bytes(job_), context_.forecast->measuring_bytes()));
    context_.forecast->begin(*engine);
    const auto engine_start = std::chrono::steady_clock::now();
    const learn::Checked checked(*engine, [this] { context_.check_stop(); });
    learn::Memory memory(*engine);
    const learn::Matrix weight = memory.matrix(info_.shape[0], info_.shape[1]);
    float amax = read_weight(*engine, weight);
    const bool is_zero = amax == 0.0F;
    StatisticsReader statistics(*engine, job_, context_, info_);
    const std::vector<float> expected = expected_outputs(*engine, weight, statistics);
    std::optional<MovedTarget> target;
    if (uses_moments(job_.learn->method) && statistics.moves_target() && !is_zero) {
      target = learn::move_target(*engine, weight, statistics.moments(), job_.learn->damping);
      if (target && !(target->change <= 1)) {
        fail(ErrorKind::bad_statistics, "'{}': the cross moments of '{}' would change its weight by more than the weight itself",
             context_.statistics->path().string(), job_.inputs[0].info.name);
      }
      if (target) amax = moved_amax(*engine, weight);
    }
    learn::QuantizedWeight quantized(*engine, job_.spec, layout_, weight);
    quantized.round_to_nearest(amax, is_zero ? std::vector<float>() : search_weights(statistics), context_.threads);
    LearnedLayer learned{.elements = elements()};
    if (!is_zero) {
      learned = learn::solve(*engine, *job_.learn, quantized, statistics.moments(), [this] { context_.check_stop(); });
    } else if (job_.learn->method != LearnMethod::nearest) {
      learned.kept_nearest_because = "its weights are all zero";
    }
    std::uint64_t written = write(quantized);
    if (is_zero) output_.write_zeros(bands_);
    written += write_bias(quantized, expected, statistics);
    if (job_.lora) write_lora(*engine, quantized, statistics, is_zero, learned);
    learned.squared_error = is_zero ? 0 : learn::squared_norm_of(*engine, quantized.layer().errors);
    learned.target = target;
    learned.tensor = job_.inputs[0].info.name;
    const auto end = std::chrono::steady_clock::now();
    learned.seconds = std::chrono::duration<double>(end - start).count();
    context_.forecast->end(job_, std::chrono::duration<double>(end - engine_start).count());
    context_.note(job_, std::move(learned));
    return written;
  }

 private:
  [[nodiscard]] std::uint64_t elements() const { return info_.shape[0] * info_.shape[1]; }

  /// Reads and rotates the weight; returns the magnitude that the scale of the whole weight is made from.
  [[nodiscard]] float read_weight(learn::Engine& engine, const learn::Matrix& weight) {
    const WeightSource::Band in(source_, 0, elements(), false);
    engine.load(info_.dtype, in.data(), elements(), weight.data);
    std::uint32_t largest = engine.largest(weight.data, elements());
    const float limit = job_.spec.format->facts().largest_weight;
    if (largest >= codec::kInfinityBits || codec::from_bits(largest) > limit) {
      source_.reject_first_beyond(limit);
      context_.files.check();
    }
    if (job_.spec.rotation_group != 0) {
      engine.rotate(weight.data, elements(), job_.spec.rotation_group);
      largest = engine.largest(weight.data, elements());
      if (largest >= codec::kInfinityBits || codec::from_bits(largest) > limit) source_.refuse_rotation(codec::from_bits(largest));
    }
    const float amax = codec::from_bits(largest);
    if (!CandidateErrors::are_needed(job_.spec) || largest == 0) {
      in.check();
      return amax;
    }
    CandidateErrors errors(context_.backend, job_.spec, amax);
    errors.add({in.data(), info_.dtype, info_.shape[0], info_.shape[1]});
    in.check();
    return errors.best_amax();
  }

  /// The same of a weight that has been moved.
  [[nodiscard]] float moved_amax(learn::Engine& engine, const learn::Matrix& weight) const {
    const std::uint32_t largest = engine.largest(weight.data, elements());
    const float amax = codec::from_bits(largest);
    if (largest >= codec::kInfinityBits || amax > job_.spec.format->facts().largest_weight) {
      fail(ErrorKind::bad_statistics, "'{}': the cross moments of '{}' would give it a weight of {}, which {} cannot hold",
           context_.statistics->path().string(), info_.name, amax, job_.spec.format->name());
    }
    if (!CandidateErrors::are_needed(job_.spec) || largest == 0) return amax;
    std::vector<float> values(elements());
    engine.download(weight.data, values.data(), values.size() * sizeof(float));
    QuantSpec plain = job_.spec;
    plain.rotation_group = 0;  // it is rotated already
    CandidateErrors errors(context_.backend, plain, amax);
    errors.add({reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, info_.shape[0], info_.shape[1]});
    return errors.best_amax();
  }

  /// What the squared errors of a search for scales are weighted with, by the column; empty for 1.
  [[nodiscard]] std::vector<float> search_weights(const StatisticsReader& statistics) const {
    return job_.spec.scales == ScaleMethod::search ? statistics.search_weights() : std::vector<float>();
  }

  std::uint64_t write(learn::QuantizedWeight& quantized) {
    std::uint64_t written = 0;
    for (std::uint64_t band = 0; band < bands_.count(); ++band) {
      const std::uint64_t first = bands_.first(band);
      io::OutputFile::Window out = output_.codes_of(first, bands_.size(band));
      const std::uint64_t n = std::min<std::uint64_t>(layout_.code_bytes(bands_.size(band)), out.bytes().size());
      quantized.read_codes(layout_.code_bytes(first), n, out.bytes().data());
      std::memset(out.bytes().data() + n, 0, out.bytes().size() - n);
      out.flush();
      written += out.bytes().size() + output_.write_scales(first, quantized.scales_of(first, bands_.size(band)));
    }
    return written + output_.finish(quantized.scaled_amax());
  }

  /// W · mean, where a bias is corrected.
  [[nodiscard]] std::vector<float> expected_outputs(learn::Engine& engine, const learn::Matrix& weight,
                                                    const StatisticsReader& statistics) const {
    if (!job_.learn->bias) return {};
    learn::Memory memory(engine);
    const learn::Matrix mean = memory.matrix_of(statistics.mean().data(), weight.columns, 1);
    const learn::Matrix product = memory.matrix(weight.rows, 1);
    engine.multiply({.a = weight, .b = mean, .c = product, .full_precision = true});
    std::vector<float> outputs(weight.rows);
    engine.download(product.data, outputs.data(), outputs.size() * sizeof(float));
    return outputs;
  }

  /// b + W · mean - Ŵ · mean, the latter that of the quantized model where it is known.
  std::uint64_t write_bias(learn::QuantizedWeight& quantized, const std::vector<float>& expected,
                           const StatisticsReader& statistics) const {
    if (!job_.learn->bias) return 0;
    const std::vector<float> outputs = quantized.outputs(statistics.mean_quantized());
    const TensorInfo& info = job_.learn->bias->info;
    const std::byte* old = context_.files.bytes(*job_.learn->bias).data();
    std::vector<std::byte> stored(info.bytes());
    if (info.dtype == Dtype::F64) {  // binary32 would take bits off what nothing is added to
      std::vector<double> bias(outputs.size());
      std::memcpy(bias.data(), old, stored.size());
      context_.files.check();
      for (std::size_t i = 0; i < bias.size(); ++i) bias[i] += static_cast<double>(expected[i]) - static_cast<double>(outputs[i]);
      std::memcpy(stored.data(), bias.data(), stored.size());
    } else {
      std::vector<float> bias(outputs.size());
      context_.backend.to_float(info.dtype, old, bias.size(), bias.data());
      context_.files.check();
      for (std::size_t i = 0; i < bias.size(); ++i) bias[i] += expected[i] - outputs[i];
      store_floats(context_, info, 0, bias, bias.size(), stored.data());
    }
    return output_.write_bytes(Role::bias, stored);
  }

  /// The correction of what is lost, of the weight before it was rotated.
  void write_lora(learn::Engine& engine, learn::QuantizedWeight& quantized, const StatisticsReader& statistics, bool is_zero,
                  LearnedLayer& learned) const {
    const LearnRecipe& recipe = *job_.learn;
    const learn::LoraOptions options{recipe.lora_rank, recipe.damping, recipe.seed, job_.spec.rotation_group};
    const learn::LoraFit fit = is_zero ? learn::no_lora(info_.shape[0], info_.shape[1], recipe.lora_rank)
                                       : learn::fit_lora(engine, quantized.layer().errors, statistics.moments(), options);
    context_.write_lora(job_.lora->up, fit.up);
    context_.write_lora(job_.lora->down, fit.down);
    learned.lora_rank = fit.rank;
    learned.lora_directions = fit.directions;
    learned.lora_captured = fit.captured;
    learned.lora_by_output = fit.by_output;
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
