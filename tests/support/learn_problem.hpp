#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "formats/scale_rules.hpp"
#include "learn/levels.hpp"
#include "learn/memory.hpp"
#include "learn/problem.hpp"

namespace halftone::test {

inline std::vector<float> gaussian_weight(std::uint64_t elements, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.02F);
  std::vector<float> weight(elements);
  for (float& value : weight) value = normal(random);
  return weight;
}

/// A weight, and where its elements may go, in the memory of the host.
struct HostProblem {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  const float* weight = nullptr;
  learn::Levels levels{};
  std::vector<float> scales;
  std::uint64_t groups = 1;
  std::vector<std::uint32_t> group_of;
  std::vector<std::uint8_t> start;  ///< levels of rounding to nearest

  [[nodiscard]] learn::Layer layer(learn::Engine& engine, learn::Memory& memory) const {
    learn::Layer layer{memory.matrix_of(weight, rows, columns),
                       memory.matrix(rows, columns),
                       memory.array_of(start.data(), start.size()),
                       {memory.array_of(&levels, 1), memory.array_of(scales.data(), scales.size()), groups,
                        memory.array_of(group_of.data(), group_of.size())}};
    engine.errors_of(layer.levels, layer.weight, layer.grid, layer.errors);
    return layer;
  }
};

/// The problem of `weight`, which must outlive it, with the plain scales of a format of tensor, row or run scales.
inline HostProblem plain_problem(const FormatDescriptor& format, const std::vector<float>& weight, std::uint64_t columns) {
  const formats::ScaleRules& rules = formats::scale_rules(format);
  const Storage& storage = format.storage();
  const auto largest = [](const float* first, const float* last) {
    float amax = 0;
    for (; first != last; ++first) amax = std::max(amax, std::fabs(*first));
    return amax;
  };
  HostProblem problem{.rows = weight.size() / columns, .columns = columns, .weight = weight.data(), .levels = learn::levels_of(format)};
  const learn::LevelOfCode level_of = learn::level_of_code(format, problem.levels);
  const std::uint64_t run = storage.grid == ScaleGrid::run ? storage.run : columns;
  problem.groups = columns / run;
  for (std::uint64_t i = 0; i < columns; ++i) problem.group_of.push_back(static_cast<std::uint32_t>(i / run));
  const float amax_of_all = largest(weight.data(), weight.data() + weight.size());
  const float tensor = storage.two_level ? rules.tensor(amax_of_all) : 1.0F;
  for (std::uint64_t first = 0; first < weight.size(); first += run) {
    const float* group = weight.data() + first;
    const formats::AnyScale scale = rules.group(storage.grid == ScaleGrid::tensor ? amax_of_all : largest(group, group + run), tensor);
    problem.scales.push_back(rules.operand(scale.stored, tensor));
    for (std::uint64_t i = 0; i < run; ++i) {
      problem.start.push_back(level_of.level[rules.encode(group[i], scale.encode)]);
    }
  }
  return problem;
}

}  // namespace halftone::test
