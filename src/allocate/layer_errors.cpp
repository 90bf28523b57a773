#include "allocate/layer_errors.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "eval/error_figures.hpp"
#include "eval/original_weight.hpp"
#include "eval/row_bands.hpp"
#include "eval/yardstick.hpp"
#include "exec/candidate_errors.hpp"
#include "learn/engine.hpp"
#include "learn/memory.hpp"

namespace halftone::allocate {

double output_energy(const InputMoments& moments, const std::vector<float>& values, std::uint64_t columns) {
  const std::uint64_t rows = values.size() / columns;
  if (moments.second.data != nullptr) {
    learn::Memory memory(*moments.engine);
    const learn::Matrix e = memory.matrix_of(values.data(), rows, columns);
    const learn::Matrix product = memory.matrix(rows, columns);
    moments.engine->multiply({.a = e, .b = moments.second, .c = product, .full_precision = true});
    return moments.engine->inner(product, e);
  }
  double sum = 0;
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    const double value = static_cast<double>(values[i]);
    sum += value * value * (moments.diagonal.empty() ? 1.0 : static_cast<double>(moments.diagonal[i % columns]));
  }
  return sum;
}

namespace {

/// A weight that is measured, and where.
struct Subject {
  const eval::FloatModel& model;
  const ModelTensor& tensor;
  const Backend& backend;
  const std::atomic<bool>& stop;
  formats::Extent extent;
};

/// Calls work(first, values) for bands of the weight's rows.
template <class Work>
void for_each_band(const Subject& subject, std::uint64_t multiple, const Work& work) {
  std::vector<float> weight;
  eval::for_each_band(subject.stop, subject.extent, multiple, [&](std::uint64_t first, std::uint64_t count) {
    weight.resize(count * subject.extent.columns);
    subject.model.read(subject.tensor, first, count, weight.data());
    work(first, weight);
  });
}

/// What the scale of the whole weight is made from: `amax`, or what a search finds in its place.
float scaled_amax(const Subject& subject, const QuantSpec& spec, float amax) {
  if (amax == 0 || !exec::CandidateErrors::are_needed(spec)) return amax;
  exec::CandidateErrors errors(subject.backend, spec, amax);
  const std::uint64_t columns = subject.extent.columns;
  for_each_band(subject, subject.model.row_multiple(subject.tensor), [&](std::uint64_t, const std::vector<float>& weight) {
    errors.add({reinterpret_cast<const std::byte*>(weight.data()), Dtype::F32, weight.size() / columns, columns});
  });
  return errors.best_amax();
}

/// How a spec restores the weight.
struct Restored {
  std::vector<float> whole;
  std::optional<eval::Yardstick> bands;  ///< where `whole` is empty
};

void add(SpecError& error, const InputMoments& moments, const std::vector<float>& weight, std::vector<float>& values,
         std::uint64_t columns) {
  eval::accumulate(error.figures, weight.data(), values.data(), weight.size());
  for (std::size_t at = 0; at < values.size(); ++at) values[at] -= weight[at];
  error.output_noise += output_energy(moments, values, columns);
}

}  // namespace

LayerErrors measure(const eval::FloatModel& model, const ModelTensor& tensor, const Backend& backend, std::span<const QuantSpec> specs,
                    const InputMoments& moments, const std::atomic<bool>& stop, const RestoreWhole& whole) {
  const Subject subject{model, tensor, backend, stop, formats::extent_of(model.shape_of(tensor))};
  const std::uint64_t columns = subject.extent.columns;
  LayerErrors errors{.of_specs = std::vector<SpecError>(specs.size())};
  if (subject.extent.rows == 0 || columns == 0) return errors;
  const std::uint32_t largest = eval::largest_magnitude(model, tensor, backend, stop);
  if (largest >= codec::kInfinityBits) {
    fail(ErrorKind::not_finite, "the tensor '{}' holds NaN or infinity, so that it cannot be quantized", base::printable(tensor.info.name));
  }
  std::vector<Restored> restored;
  std::uint64_t multiple = model.row_multiple(tensor);
  for (const QuantSpec& spec : specs) {
    const float amax = scaled_amax(subject, spec, codec::from_bits(largest));
    Restored& next = restored.emplace_back();
    if (auto values = whole && largest != 0 ? whole(spec, amax) : std::nullopt) {
      next.whole = std::move(*values);
      continue;
    }
    next.bands.emplace(backend, spec, columns, amax);
    multiple = std::lcm(multiple, next.bands->row_multiple());
  }
  std::vector<float> values;
  for_each_band(subject, multiple, [&](std::uint64_t first, const std::vector<float>& weight) {
    eval::accumulate(errors.signal, weight.data(), weight.data(), weight.size());
    errors.output_signal += output_energy(moments, weight, columns);
    values.resize(weight.size());
    for (std::size_t i = 0; i < specs.size(); ++i) {
      if (restored[i].bands) {
        restored[i].bands->restore(weight.data(), weight.size() / columns, values.data());
      } else {
        std::copy_n(restored[i].whole.begin() + static_cast<std::ptrdiff_t>(first * columns), values.size(), values.begin());
      }
      add(errors.of_specs[i], moments, weight, values, columns);
    }
  });
  for (std::size_t i = 0; i < specs.size(); ++i) {
    // What is restored as a whole goes beyond any number where it cannot be rotated.
    const bool holds = restored[i].bands ? restored[i].bands->holds() : std::isfinite(errors.of_specs[i].figures.noise);
    errors.of_specs[i].is_refused = !holds || codec::from_bits(largest) > specs[i].format->facts().largest_weight;
  }
  return errors;
}

}  // namespace halftone::allocate
