#include "cpu/scale_search.hpp"

#include <halftone/codec/hd.hpp>

namespace halftone::cpu {
namespace {

/// Scales to try, as the kernels take them, and the squared errors that they give.
struct Trial {
  std::vector<formats::AnyScale> scales;
  std::vector<float> encodes;
  std::vector<float> decodes;
  std::vector<double> errors;
};

/// The squared error of each group with the scales of `trial`.
void measure(const KernelTable& kernels, const QuantSpec& spec, float tensor, const Strip& strip, Trial& trial) {
  const auto operand = formats::scale_rules(*spec.format).operand;
  trial.encodes.clear();
  trial.decodes.clear();
  for (const formats::AnyScale& scale : trial.scales) {
    trial.encodes.push_back(scale.encode);
    trial.decodes.push_back(operand(scale.stored, tensor));
  }
  trial.errors.assign(trial.scales.size(), 0.0);
  const auto error = kernels.squared_error[spec.format->index()][formats::float_index(strip.dtype)];
  for (std::uint64_t r = 0; r < strip.height; ++r) {
    error(strip.source + r * strip.source_stride, strip.columns, strip.width, trial.encodes.data(), trial.decodes.data(),
          trial.errors.data());
  }
}

}  // namespace

void search_scales(const KernelTable& kernels, const QuantSpec& spec, float tensor, const Strip& strip,
                   const std::vector<std::uint32_t>& largest, std::vector<formats::AnyScale>& scales) {
  if (const auto search = kernels.search[spec.format->index()][formats::float_index(strip.dtype)]) {
    return search(strip.source, strip.columns, largest.data(), tensor, scales.data());
  }
  const formats::ScaleRules& rules = formats::scale_rules(*spec.format);
  Trial trial{.scales = scales, .encodes = {}, .decodes = {}, .errors = {}};
  measure(kernels, spec, tensor, strip, trial);
  std::vector<double> least = trial.errors;
  for (int i = 1; i < rules.candidates; ++i) {
    for (std::size_t g = 0; g < least.size(); ++g) trial.scales[g] = rules.candidate(codec::from_bits(largest[g]), tensor, i);
    measure(kernels, spec, tensor, strip, trial);
    for (std::size_t g = 0; g < least.size(); ++g) {
      if (!(trial.errors[g] < least[g])) continue;
      least[g] = trial.errors[g];
      scales[g] = trial.scales[g];
    }
  }
}

}  // namespace halftone::cpu
