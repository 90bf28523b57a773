#include "eval/evaluate.hpp"

#include <cmath>
#include <numeric>
#include <optional>

#include "base/fail.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"
#include "eval/error_figures.hpp"
#include "eval/layer_codes.hpp"
#include "eval/original_weight.hpp"
#include "eval/row_bands.hpp"
#include "eval/stored_alike.hpp"

namespace halftone {

double EvaluatedLayer::bits_per_weight() const noexcept {
  return figures.elements == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(figures.elements);
}

double EvaluatedLayer::clipped_share() const noexcept {
  return figures.elements == 0 ? 0 : static_cast<double>(clipped) / static_cast<double>(figures.elements);
}

std::optional<double> EvaluatedLayer::output_error() const noexcept {
  if (output && output->given) return output->weights.rel_l2();
  if (expected) return expected->rel_l2();
  return std::nullopt;
}

double EvaluatedLayer::judged_db() const noexcept {
  const std::optional<double> error = output_error();
  return error ? -20 * std::log10(*error) : figures.sqnr_db();
}

double ExpectedError::rel_l2() const noexcept { return noise == 0 ? 0 : std::sqrt(noise / signal); }

namespace eval {
namespace {

struct Models {
  const FloatModel& original;
  const FloatModel& other;
  const Backend& backend;
  const std::atomic<bool>& stop;
};

/// A tensor of the other model that is measured.
struct Subject {
  const ModelTensor* original;
  const ModelTensor* other;
  std::optional<formats::QuantizedLayer> layer;
  bool is_identical = false;
};

std::uint64_t bytes_of(const FloatModel& model, const ModelTensor& tensor) {
  std::uint64_t bytes = tensor.info.bytes();
  const formats::QuantizedLayer* layer = model.layer(tensor.info.name);
  if (layer == nullptr) return bytes;
  for (const std::string& name : layer->companions) bytes += model.files().index().find(name)->info.bytes();
  return bytes;
}

/// Counts the tensors of the original that the other model lacks.
void note_missing(const Models& models, Evaluation& result) {
  std::uint64_t missing = 0;
  for (const ModelTensor& tensor : models.original.files().index().tensors()) {
    if (models.original.is_companion(tensor.info.name) || models.other.files().index().find(tensor.info.name) != nullptr) continue;
    ++missing;
  }
  if (missing != 0)
    result.notes.push_back(fmt::format("{} of the original {} not there", base::counted(missing, "tensor"), missing == 1 ? "is" : "are"));
}

/// The tensors that are stored otherwise; what cannot be measured becomes a note.
std::vector<Subject> subjects(const Models& models, Evaluation& result) {
  std::vector<Subject> found;
  for (const ModelTensor& tensor : models.other.files().index().tensors()) {
    const std::string& name = tensor.info.name;
    if (models.other.is_companion(name)) continue;
    const ModelTensor* original = models.original.files().index().find(name);
    const formats::QuantizedLayer* layer = models.other.layer(name);
    const bool is_same = original != nullptr && layer == nullptr && models.original.layer(name) == nullptr &&
                         original->info.dtype == tensor.info.dtype && original->info.shape == tensor.info.shape;
    if (is_same) {
      ++result.kept;
      result.kept_bytes += tensor.info.bytes();
      continue;
    }
    if (original == nullptr || !models.original.is_readable(*original)) {
      result.notes.push_back(fmt::format("'{}' is not measured: the original has no such weight", base::printable(name)));
      continue;
    }
    if (layer == nullptr && !is_source_float(tensor.info.dtype)) {
      result.notes.push_back(fmt::format("'{}' is not measured: it holds no floats", base::printable(name)));
      continue;
    }
    if (layer != nullptr && stored_alike(models.original, models.other, {original, &tensor})) {
      found.push_back({original, &tensor, std::nullopt, true});
      continue;
    }
    Subject subject{original, &tensor, std::nullopt};
    const Shape shape = models.original.shape_of(*original);
    Shape stored = models.other.shape_of(tensor);
    if (layer != nullptr) {
      layer->require_readable();
      subject.layer = *layer;
      take_original_shape(*subject.layer, shape);
      stored = subject.layer->readable->shape;
    }
    if (stored != shape) {
      result.notes.push_back(fmt::format("'{}' is not measured: it is a weight of {}, and the original's is {}", base::printable(name),
                                         to_string(stored), to_string(shape)));
      continue;
    }
    found.push_back(std::move(subject));
  }
  return found;
}

/// Reads both weights once and sums.
void measure(const Models& models, const Subject& subject, EvaluatedLayer& result) {
  const formats::Extent extent = formats::extent_of(result.shape);
  std::optional<formats::StoredMatrix> stored;
  std::optional<LayerCodes> codes;
  std::uint64_t multiple = models.original.row_multiple(*subject.original);
  if (subject.layer) {
    stored.emplace(stored_matrix(models.other.files(), *subject.layer));
    codes.emplace(*stored, subject.layer->readable->spec);
    multiple = std::lcm(multiple, stored->row_multiple());
  }
  std::vector<float> weight;
  std::vector<float> values;
  for_each_band(models.stop, extent, multiple, [&](std::uint64_t first, std::uint64_t count) {
    weight.resize(count * extent.columns);
    values.resize(weight.size());
    models.original.read(*subject.original, first, count, weight.data());
    if (stored) {
      stored->read(models.backend, first, count, values.data());
      codes->add(weight.data(), first, count);
    } else {
      models.other.read(*subject.other, first, count, values.data());
    }
    accumulate(result.figures, weight.data(), values.data(), weight.size());
  });
  if (!codes) return;
  result.codes = codes->codes();
  result.scales = codes->scales();
  result.clipped = codes->clipped();
}

/// Says why figures are not numbers.
void note_not_finite(Evaluation& result) {
  std::size_t n = 0;
  for (const EvaluatedLayer& layer : result.layers) {
    if (layer.is_identical || std::isfinite(layer.figures.noise)) continue;
    ++n;
    const std::string name = base::printable(layer.name);
    if (!std::isfinite(layer.figures.signal)) {
      result.notes.push_back(fmt::format("the error of '{}' is not known: it holds NaN or infinity in the original", name));
    } else if (layer.scales.not_finite != 0) {
      result.notes.push_back(fmt::format("the error of '{}' is not known: {} of its scales {} NaN or infinite", name,
                                         layer.scales.not_finite, layer.scales.not_finite == 1 ? "is" : "are"));
    } else {
      result.notes.push_back(fmt::format("the error of '{}' is not known: it holds NaN or infinity", name));
    }
  }
  if (n != 0) result.notes.push_back(fmt::format("the totals are not known, as {} not", n == 1 ? "that error is" : "these errors are"));
}

}  // namespace

Evaluation evaluate_weights(const FloatModel& original, const FloatModel& other, const Backend& backend, unsigned threads,
                            const std::atomic<bool>& stop) {
  const Models models{original, other, backend, stop};
  Evaluation result;
  result.file_bytes = other.files().index().file_bytes();
  result.source_file_bytes = original.files().index().file_bytes();
  const std::vector<Subject> found = subjects(models, result);
  note_missing(models, result);
  result.layers.resize(found.size());
  base::parallel_for(found.size(), threads, [&](std::size_t i) {
    const Subject& subject = found[i];
    EvaluatedLayer& layer = result.layers[i];
    layer.name = subject.other->info.name;
    layer.format = other.stored_as(*subject.other);
    layer.shape = original.shape_of(*subject.original);
    layer.bytes = bytes_of(other, *subject.other);
    layer.source_bytes = bytes_of(original, *subject.original);
    layer.is_identical = subject.is_identical;
    if (layer.is_identical) {
      layer.figures.elements = element_count(layer.shape);
    } else {
      measure(models, subject, layer);
    }
  });
  original.files().check();
  other.files().check();
  for (const EvaluatedLayer& layer : result.layers) {
    if (!layer.is_identical) result.total.add(layer.figures);
  }
  note_not_finite(result);
  return result;
}

}  // namespace eval
}  // namespace halftone
