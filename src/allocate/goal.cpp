#include "allocate/goal.hpp"

#include <cmath>

namespace halftone::allocate {
namespace {

/// By what part of all noise the limit on noise is tightened, so that sums that are rounded otherwise stay below it.
constexpr double kMargin = 1e-12;

}  // namespace

Goal::Goal(const AllocateOptions& options, const std::vector<AllocatedLayer>& layers, const std::vector<LayerCandidates>& candidates)
    : options_(options), layers_(layers), candidates_(candidates) {}

std::uint64_t Goal::bytes_of(std::size_t layer, std::size_t candidate) const {
  const LayerCandidates& of = candidates_[layer];
  return candidate < of.specs.size() ? of.bytes[candidate] + of.text[candidate] : of.kept_bytes + of.kept_text;
}

double Goal::weight(std::size_t layer) const {
  if (options_.balance == Balance::weights) return 1;
  const double own = options_.statistics.empty() ? layers_[layer].candidates.front().figures.signal : layers_[layer].output_signal;
  return own > 0 ? 1 / own : 0;
}

double Goal::noise(std::size_t layer, std::size_t candidate) const {
  const AllocationCandidate& of = layers_[layer].candidates[candidate];
  return weight(layer) * (options_.statistics.empty() ? of.figures.noise : of.output_noise);
}

double Goal::signal(std::size_t layer) const {
  return weight(layer) * (options_.statistics.empty() ? layers_[layer].candidates.front().figures.signal : layers_[layer].output_signal);
}

double Goal::in_unit(double noise) const { return options_.min_sqnr_db ? -10 * std::log10(noise) : std::sqrt(noise); }

double Goal::most_relative_noise() const {
  if (options_.min_sqnr_db) return std::pow(10, -*options_.min_sqnr_db / 10);
  return options_.max_output_error ? *options_.max_output_error * *options_.max_output_error : 0;
}

std::vector<std::vector<Option>> Goal::problem() const {
  const double most = most_relative_noise();
  std::vector<std::vector<Option>> problem(layers_.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    for (std::size_t k = 0; k < layers_[i].candidates.size(); ++k) {
      const auto bytes = static_cast<double>(bytes_of(i, k));
      const bool is_kept = layers_[i].candidates[k].is_unchanged;
      // Σ noise - most · Σ signal of the quantized layers is what may not exceed 0.
      const double excess = is_kept ? 0 : noise(i, k) - most * (1 - kMargin) * signal(i);
      problem[i].push_back(is_size() ? Option{bytes, noise(i, k)} : Option{excess, bytes});
    }
  }
  return problem;
}

double Goal::limit(std::uint64_t fixed_bytes) const {
  if (!is_size()) return 0;
  return static_cast<double>(*options_.target_bytes) - static_cast<double>(fixed_bytes);
}

std::uint64_t Goal::bytes_of(const std::vector<std::size_t>& chosen) const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) sum += bytes_of(i, chosen[i]);
  return sum;
}

double Goal::relative_noise(const std::vector<std::size_t>& chosen) const {
  double all_noise = 0;
  double all_signal = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (layers_[i].candidates[chosen[i]].is_unchanged) continue;
    all_noise += noise(i, chosen[i]);
    all_signal += signal(i);
  }
  return all_noise == 0 ? 0 : all_noise / all_signal;
}

}  // namespace halftone::allocate
