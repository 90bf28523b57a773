#include "allocate/expected_errors.hpp"

#include <numeric>

#include "base/fail.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"
#include "eval/original_weight.hpp"
#include "eval/row_bands.hpp"
#include "formats/layer_names.hpp"

namespace halftone::allocate {
namespace {

/// The values of a layer in both models.
struct BothWeights {
  const eval::FloatModel& original;
  const eval::FloatModel& other;
  const Backend& backend;
  const ModelTensor& weight;  ///< of the original
  const EvaluatedLayer& layer;

  /// Calls work(original values, values now) for bands of rows.
  template <class Work>
  void for_each_band(const std::atomic<bool>& stop, const Work& work) const {
    const ModelTensor& now = *other.files().index().find(layer.name);
    const formats::Extent extent = formats::extent_of(layer.shape);
    std::optional<formats::StoredMatrix> stored;
    std::uint64_t multiple = original.row_multiple(weight);
    if (const auto* found = other.layer(layer.name)) {
      formats::QuantizedLayer as_original = *found;
      eval::take_original_shape(as_original, layer.shape);
      stored.emplace(eval::stored_matrix(other.files(), as_original));
      multiple = std::lcm(multiple, stored->row_multiple());
    }
    std::vector<float> before;
    std::vector<float> after;
    eval::for_each_band(stop, extent, multiple, [&](std::uint64_t first, std::uint64_t count) {
      before.resize(count * extent.columns);
      after.resize(before.size());
      original.read(weight, first, count, before.data());
      stored ? stored->read(backend, first, count, after.data()) : other.read(now, first, count, after.data());
      work(before, after);
    });
  }
};

bool has_outputs(const EvaluatedLayer& layer) { return !layer.is_identical && layer.shape.size() == 2 && layer.figures.elements != 0; }

}  // namespace

void expect_outputs(const eval::FloatModel& original, const eval::FloatModel& other, const StatisticsFile& statistics,
                    const Backend& backend, const RunControl& control, unsigned threads, Evaluation& evaluation) {
  std::vector<EvaluatedLayer*> layers;
  for (EvaluatedLayer& layer : evaluation.layers) {
    if (has_outputs(layer)) layers.push_back(&layer);
  }
  base::parallel_for(layers.size(), threads, [&](std::size_t i) {
    EvaluatedLayer& layer = *layers[i];
    const ModelTensor& weight = *original.files().index().find(layer.name);
    const LayerMoments moments(original, weight, &statistics, backend, control);
    if (!moments.are_known()) return;
    ExpectedError expected;
    BothWeights{original, other, backend, weight, layer}.for_each_band(
        control.stop, [&](const std::vector<float>& before, std::vector<float>& after) {
          for (std::size_t at = 0; at < after.size(); ++at) after[at] -= before[at];
          expected.signal += output_energy(moments.moments(), before, layer.shape[1]);
          expected.noise += output_energy(moments.moments(), after, layer.shape[1]);
        });
    layer.expected = expected;
  });
  original.files().check();
  other.files().check();
  std::size_t known = 0;
  for (const EvaluatedLayer* layer : layers) {
    if (!layer->expected) continue;
    ++known;
    if (!evaluation.expected_total) evaluation.expected_total.emplace();
    evaluation.expected_total->signal += layer->expected->signal;
    evaluation.expected_total->noise += layer->expected->noise;
  }
  if (known == 0 && !layers.empty()) {
    fail(ErrorKind::bad_statistics, "'{0}' has nothing of a layer that is measured: no tensor such as '{1}.second_moment' or '{1}.diag'",
         statistics.statistics.path.string(), base::printable(formats::base_name(layers.front()->name)));
  }
  if (known < layers.size()) {
    evaluation.notes.push_back(
        fmt::format("the statistics have nothing of {} of {}", layers.size() - known, base::counted(layers.size(), "layer")));
  }
}

}  // namespace halftone::allocate
