#include <halftone/compare.hpp>

#include <algorithm>
#include <numeric>

#include "base/fail.hpp"
#include "base/parallel.hpp"
#include "eval/compare_models.hpp"
#include "eval/error_figures.hpp"
#include "eval/row_bands.hpp"
#include "eval/stored_alike.hpp"
#include "formats/stored_facts.hpp"

namespace halftone::eval {
namespace {

ErrorFigures compare_tensor(const FloatModel& original, const FloatModel& other, const Pair& pair) {
  const formats::Extent extent = formats::extent_of(original.shape_of(*pair.original));
  const std::uint64_t multiple = std::lcm(original.row_multiple(*pair.original), other.row_multiple(*pair.other));
  ErrorFigures sum;
  std::vector<float> a;
  std::vector<float> b;
  const std::atomic<bool> never{false};
  for_each_band(never, extent, multiple, [&](std::uint64_t first, std::uint64_t count) {
    a.resize(count * extent.columns);
    b.resize(a.size());
    original.read(*pair.original, first, count, a.data());
    other.read(*pair.other, first, count, b.data());
    accumulate(sum, a.data(), b.data(), a.size());
  });
  return sum;
}

/// The tensors of both models under one name; the others go to the lists of `result`.
std::vector<Pair> match(const FloatModel& original, const FloatModel& other, Comparison& result) {
  std::vector<Pair> pairs;
  for (const ModelTensor& tensor : original.files().index().tensors()) {
    if (original.is_companion(tensor.info.name)) continue;
    const ModelTensor* twin = other.files().index().find(tensor.info.name);
    if (twin == nullptr) {
      result.only_original.push_back(tensor.info.name);
      continue;
    }
    pairs.push_back({&tensor, twin});
  }
  for (const ModelTensor& tensor : other.files().index().tensors()) {
    const bool known = other.is_companion(tensor.info.name) || formats::is_legacy_marker(tensor.info.name) ||
                       original.files().index().find(tensor.info.name) != nullptr;
    if (!known) result.only_other.push_back(tensor.info.name);
  }
  return pairs;
}

}  // namespace

Comparison compare_models(const FloatModel& original, const FloatModel& other, unsigned threads) {
  Comparison result;
  result.other = other.files().path();
  const std::vector<Pair> pairs = match(original, other, result);
  std::vector<TensorComparison> found(pairs.size());
  std::vector<char> differs(pairs.size(), 0);
  base::parallel_for(pairs.size(), threads, [&](std::size_t i) {
    const Pair& pair = pairs[i];
    if (stored_alike(original, other, pair)) return;
    found[i] = {pair.original->info.name, other.stored_as(*pair.other), true, {}};
    const bool same_shape = original.shape_of(*pair.original) == other.shape_of(*pair.other);
    if (!same_shape) found[i].stored = fmt::format("{} {}", found[i].stored, to_string(other.shape_of(*pair.other)));
    const bool readable = same_shape && original.is_readable(*pair.original) && other.is_readable(*pair.other);
    found[i].comparable = readable;
    if (readable) found[i].figures = compare_tensor(original, other, pair);
    // Two layers of one format may spell equal values in different ways; plain tensors with other bytes differ.
    const bool same_format = original.layer(pair.original->info.name) != nullptr && original.stored_as(*pair.original) == found[i].stored;
    differs[i] = same_format && readable && found[i].figures.noise == 0 ? 0 : 1;
  });
  original.files().check();
  other.files().check();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (differs[i] == 0) {
      ++result.identical;
      continue;
    }
    result.total.add(found[i].figures);
    result.layers.push_back(std::move(found[i]));
  }
  return result;
}

}  // namespace halftone::eval
