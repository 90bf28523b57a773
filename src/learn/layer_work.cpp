#include "learn/layer_work.hpp"

#include <algorithm>
#include <cmath>

#include "learn/basis.hpp"
#include "learn/effort.hpp"
#include "learn/optimizer.hpp"

namespace halftone::learn {
namespace {

/// What things take, in the units of Work (measured: AVX2 and AVX-512, H100).  On a GPU products of full precision take
/// longer than those that are timed, those of binary16 less; and where it has little to do, each step waits for the last one.
struct Costs {
  double reading;          ///< elements, of each: reading, quantizing to nearest, packing, writing
  double passing;          ///< copies, of each element: there and back, and what the host does for files meanwhile
  double basis;            ///< products, of each within a basis
  double basis_waits;      ///< of a basis
  double pass;             ///< elements, of each: a pass of a projection
  double pass_waits;       ///< of a pass of a projection
  double rounding;         ///< elements, of each: rounding it in view of others
  double feedback;         ///< products, of each within feedback
  double column_waits;     ///< of feedback, of a column in a round
  double slope;            ///< products, of each within the slope of an optimizer
  double step;             ///< elements, of each: a step of an optimizer without moments
  double step_by_moments;  ///< the same, for each moment more
  double step_waits;
};

constexpr Costs kProcessor{.reading = 1.5,
                           .passing = 1,
                           .basis = 1,
                           .basis_waits = 0,
                           .pass = 4,
                           .pass_waits = 0,
                           .rounding = 3.2,
                           .feedback = 1,
                           .column_waits = 0,
                           .slope = 1,
                           .step = 0.55,
                           .step_by_moments = 0.3,
                           .step_waits = 0};
constexpr Costs kGpu{.reading = 0,
                     .passing = 2.1,
                     .basis = 3.5,
                     .basis_waits = 125,
                     .pass = 1,
                     .pass_waits = 4.5,
                     .rounding = 1,
                     .feedback = 2,
                     .column_waits = 0.055,
                     .slope = 0.6,
                     .step = 1.2,
                     .step_by_moments = 0.6,
                     .step_waits = 1};

constexpr double kEigenvectors = 4;  // products: the eigenvectors of a matrix, by the cube of its side
constexpr double kFactor = 0.35;     // a Cholesky factor, likewise

/// Iterations after which an optimizer usually ends by itself.  On a GPU the loss of Prodigy has no floor of rounding.
double usual_iterations(Optimizer optimizer, Machine machine) {
  switch (optimizer) {
    case Optimizer::original: return 500;
    case Optimizer::adamw:
    case Optimizer::radam: return 640;
    case Optimizer::prodigy: return machine == Machine::gpu ? 440 : 740;
  }
  return 500;  // no enumerator
}

Work& operator+=(Work& a, const Work& b) {
  a.products += b.products;
  a.elements += b.elements;
  a.copies += b.copies;
  a.waits += b.waits;
  return a;
}
Work operator*(double factor, const Work& work) {
  return {factor * work.products, factor * work.elements, factor * work.copies, factor * work.waits};
}

/// The work on one layer.
class LayerWork {
 public:
  LayerWork(std::uint64_t rows, std::uint64_t columns, Machine machine)
      : machine_(machine),
        costs_(machine == Machine::gpu ? kGpu : kProcessor),
        rows_(static_cast<double>(rows)),
        columns_(static_cast<double>(columns)) {}

  [[nodiscard]] Work reading() const { return {.elements = costs_.reading * elements(), .copies = costs_.passing * elements()}; }

  [[nodiscard]] Work basis(double rank, int power_iterations) const {
    return {.products = costs_.basis * basis_products(rank, power_iterations), .waits = costs_.basis_waits};
  }

  [[nodiscard]] Work projection(double rank, double passes) const {
    return passes * Work{.products = slope_products(rank), .elements = costs_.pass * elements(), .waits = costs_.pass_waits};
  }

  [[nodiscard]] Work feedback(double sweeps) const {
    const double products = kFactor * columns_ * columns_ * columns_ + (3.3 + sweeps) * rows_ * columns_ * columns_;
    return {.products = costs_.feedback * products,
            .elements = (1 + sweeps) * costs_.rounding * elements(),
            .copies = columns_ * columns_,
            .waits = costs_.column_waits * (1 + sweeps) * columns_};
  }

  [[nodiscard]] Work optimizer(const OptimizerSettings& settings, double rank) const {
    const int moments = with_optimizer(settings.optimizer, []<class O>(O) { return O::kElementwise ? O::kMoments : 1; });
    const StopRule& stop = settings.schedule.stop;
    const double most = settings.schedule.iterations;
    const double steps = stop.loss > 0 || stop.rate > 0 ? std::min(most, usual_iterations(settings.optimizer, machine_)) : most;
    return steps * Work{.products = settings.full_loss ? 0.0 : costs_.slope * slope_products(rank),
                        .elements = (costs_.step + moments * costs_.step_by_moments) * elements(),
                        .waits = costs_.step_waits};
  }

 private:
  [[nodiscard]] double elements() const { return rows_ * columns_; }

  [[nodiscard]] double basis_products(double rank, int power_iterations) const {
    const auto count = [](double value) { return static_cast<std::uint64_t>(value); };
    const double smaller = std::min(rows_, columns_);
    if (prefers_exact(count(rank), count(rows_), count(columns_))) {
      return elements() * (smaller + 2 * rank) + kEigenvectors * smaller * smaller * smaller + 2 * (rows_ + columns_) * rank * rank;
    }
    const auto wide = static_cast<double>(oversampled(count(rank), count(rows_), count(columns_)));
    const double power = power_iterations;
    return (2 * power + 5) * elements() * wide + (power + 4) * 2 * rows_ * wide * wide + kEigenvectors * wide * wide * wide;
  }

  /// Measuring a loss, and taking its gradient.
  [[nodiscard]] double slope_products(double rank) const { return 2 * (elements() * rank + rows_ * rank * rank); }

  Machine machine_;
  const Costs& costs_;
  double rows_;
  double columns_;
};

Work of_method(const LayerWork& layer, const LearnRecipe& recipe, double rank) {
  const EffortNumbers numbers = numbers_of(recipe.effort);
  switch (recipe.method) {
    case LearnMethod::nearest: break;
    case LearnMethod::feedback: return layer.feedback(numbers.sweeps);
    case LearnMethod::closed:
    case LearnMethod::project: {
      Work work = layer.basis(rank, numbers.power_iterations);
      return work += layer.projection(rank, recipe.method == LearnMethod::closed ? 2 : 10 + numbers.flip_passes);
    }
    case LearnMethod::optimizer: {
      Work work = recipe.optimizer.full_loss ? Work{} : layer.basis(rank, numbers.power_iterations);
      return work += layer.optimizer(recipe.optimizer, rank);
    }
  }
  return {};
}

}  // namespace

Work layer_work(const LearnRecipe& recipe, std::uint64_t rows, std::uint64_t columns, Machine machine) {
  const LayerWork layer(rows, columns, machine);
  Work work = layer.reading();
  work += of_method(layer, recipe, static_cast<double>(rank_of(recipe.rank, rows, columns)));
  if (recipe.lora_rank > 0) work += layer.basis(static_cast<double>(recipe.lora_rank), kLoraPowerIterations);
  return work;
}

}  // namespace halftone::learn
