#include "learn/layer_work.hpp"

#include <algorithm>

#include "formats/scale_rules.hpp"
#include "learn/basis.hpp"
#include "learn/effort.hpp"
#include "learn/method.hpp"

namespace halftone::learn {
namespace {

/// What things take, in the units of Workload (measured: AVX2 and AVX-512, H100; those of an H100 in
/// bench/baselines/learned-h100.txt).  On a GPU products of full precision take longer than those that are timed, those of
/// binary16 less; and where it has little to do, each step waits for the last one.
struct Costs {
  double reading;        ///< elements, of each: reading, quantizing to nearest, packing, writing
  double passing;        ///< copies, of each element: there and back, and what the host does for files meanwhile
  double basis;          ///< products, of each within a basis
  double basis_waits;    ///< of a basis
  double pass_products;  ///< products, of each within a pass of a projection
  double pass;           ///< elements, of each: a pass of a projection
  double pass_waits;     ///< of a pass of a projection
  double full_product;   ///< products, of each of full precision
  double try_scale;      ///< elements, of each and each scale that is tried in a search
  double try_weighted;   ///< the same where errors have weights, of codes of 8 bits
  double try_weighted4;  ///< and of 4 bits, which have fewer levels
};

constexpr PerDevice<Costs> kCosts{.processor = {.reading = 1.5,
                                                .passing = 1,
                                                .basis = 1,
                                                .basis_waits = 0,
                                                .pass_products = 1,
                                                .pass = 4,
                                                .pass_waits = 0,
                                                .full_product = 1,
                                                .try_scale = 0.05,
                                                .try_weighted = 3.4,
                                                .try_weighted4 = 1.5},
                                  .gpu = {.reading = 0,
                                          .passing = 1.8,
                                          .basis = 1.55,
                                          .basis_waits = 75,
                                          .pass_products = 0.6,
                                          .pass = 1,
                                          .pass_waits = 4.5,
                                          .full_product = 5,
                                          .try_scale = 0.03,
                                          .try_weighted = 2.9,
                                          .try_weighted4 = 0.8}};

constexpr PerDevice<Rates> kUsualRates{.processor = {.product = 2.5e-11, .element = 4e-9, .copy = 5e-10, .wait = 1e-6},
                                       .gpu = {.product = 7.5e-15, .element = 5.1e-12, .copy = 4.6e-10, .wait = 3.6e-5}};

constexpr double kEigenvectors = 4;  // products: the eigenvectors of a matrix, by the cube of its side

double basis_products(const Extent& extent, int power_iterations) {
  const auto rows = static_cast<double>(extent.rows);
  const auto columns = static_cast<double>(extent.columns);
  const auto rank = static_cast<double>(extent.rank);
  const double smaller = std::min(rows, columns);
  if (prefers_exact(extent.rank, extent.rows, extent.columns)) {
    return rows * columns * (smaller + 2 * rank) + kEigenvectors * smaller * smaller * smaller + 2 * (rows + columns) * rank * rank;
  }
  const auto wide = static_cast<double>(oversampled(extent.rank, extent.rows, extent.columns));
  const double power = power_iterations;
  return (2 * power + 5) * rows * columns * wide + (power + 4) * 2 * rows * wide * wide + kEigenvectors * wide * wide * wide;
}

Workload work_of_basis(const Extent& extent, int power_iterations, DeviceKind device) {
  const Costs& costs = kCosts.of(device);
  return {.products = costs.basis * basis_products(extent, power_iterations), .waits = costs.basis_waits};
}

/// A search for the scales of `elements` weights.  Those of groups are tried once for each scale of the whole weight, and once more.
Workload search_work(const QuantSpec& spec, bool is_weighted, double elements, const Costs& costs) {
  if (spec.scales != ScaleMethod::search) return {};
  const formats::ScaleRules& rules = formats::scale_rules(*spec.format);
  const Storage& storage = spec.format->storage();
  const double of_weight = rules.tensor_candidates > 1 ? rules.tensor_candidates : 0;
  const double of_group = storage.grid == ScaleGrid::tensor ? 1 : rules.candidates;
  const double weighted = storage.code_bits == 4 ? costs.try_weighted4 : costs.try_weighted;
  const double last = is_weighted && storage.grid != ScaleGrid::tensor ? weighted : costs.try_scale;
  return {.elements = (of_weight * costs.try_scale + last) * of_group * elements};
}

/// Fitting a LoRA; `by_output`: in view of what moments say of outputs.
Workload lora_work(const Extent& extent, bool by_output, DeviceKind device) {
  Workload work = work_of_basis(extent, kLoraPowerIterations, device);
  if (!by_output) return work;
  const auto columns = static_cast<double>(extent.columns);
  constexpr double factor = 0.7;  // products: a Cholesky factor and its inverse, by the cube of its side
  work.products +=
      kCosts.of(device).full_product * (2 * static_cast<double>(extent.weight()) * columns + factor * columns * columns * columns);
  return work;
}

}  // namespace

Rates usual_rates(DeviceKind device) { return kUsualRates.of(device); }

Loading usual_loading(LearnMethod method, bool side_by_side) {
  // Bases take products of many shapes.
  if (uses_moments(method)) return {.first = side_by_side ? 0.08 : 0.15, .another = side_by_side ? 0.005 : 0.02};
  return {.first = side_by_side ? 0.12 : 0.25, .another = side_by_side ? 0.03 : 0.05};
}

Workload basis_work(const LearnRecipe& recipe, const Extent& extent, DeviceKind device) {
  return work_of_basis(extent, power_iterations(recipe.effort, extent.rank, extent.rows, extent.columns), device);
}

double slope_products(const Extent& extent) {
  const auto rows = static_cast<double>(extent.rows);
  const auto rank = static_cast<double>(extent.rank);
  return 2 * (rows * static_cast<double>(extent.columns) * rank + rows * rank * rank);
}

Workload projection_work(const Extent& extent, double passes, DeviceKind device) {
  const Costs& costs = kCosts.of(device);
  return passes * Workload{.products = costs.pass_products * slope_products(extent),
                           .elements = costs.pass * static_cast<double>(extent.weight()),
                           .waits = costs.pass_waits};
}

Workload layer_work(const LearnRecipe& recipe, const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns, DeviceKind device) {
  const Extent extent{rows, columns, rank_of(recipe.rank, rows, columns)};
  const Costs& costs = kCosts.of(device);
  const auto elements = static_cast<double>(extent.weight());
  Workload work{.elements = costs.reading * elements, .copies = costs.passing * elements};
  const bool by_output = recipe.statistics.second_moment.has_value();
  work += search_work(spec, by_output || recipe.statistics.diagonal, elements, costs);
  work += method_of(recipe.method).work(recipe, extent, device);
  if (recipe.lora_rank > 0) work += lora_work({rows, columns, recipe.lora_rank}, by_output, device);
  return work;
}

}  // namespace halftone::learn
