#include "exec/candidate_errors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <halftone/codec/hd.hpp>

#include "formats/layer_layout.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::exec {
namespace {

/// 2^-e for a magnitude of 2^e to 2^(e+1), within what binary32 has.
float unit_of(float amax) {
  const int exponent = amax > 0.0F ? std::ilogb(amax) : 0;
  return std::ldexp(1.0F, std::clamp(-exponent, -126, 126));
}

/// What takes the place of the largest magnitude, `amax`, for each candidate.
std::vector<float> candidates_of(const FormatDescriptor& format, float amax) {
  const formats::ScaleRules& rules = formats::scale_rules(format);
  std::vector<float> candidates;
  for (int i = 0; i < rules.tensor_candidates; ++i) {
    // A factor above 1 must not make it infinite.
    candidates.push_back(std::min(amax * rules.tensor_factor(i), std::numeric_limits<float>::max()));
  }
  return candidates;
}

}  // namespace

CandidateErrors::CandidateErrors(const Backend& backend, const QuantSpec& spec, float amax)
    : backend_(backend), spec_(spec), amaxes_(candidates_of(*spec.format, amax)), unit_(unit_of(amax)), sums_(amaxes_.size()) {}

bool CandidateErrors::are_needed(const QuantSpec& spec) noexcept {
  return spec.scales == ScaleMethod::search && formats::scale_rules(*spec.format).tensor_candidates > 1;
}

std::uint64_t CandidateErrors::memory_bytes(const QuantSpec& spec, std::uint64_t columns) {
  const formats::LayerLayout layout(spec, 1, columns);
  return 2 * columns * sizeof(float) + layout.code_bytes(1) + layout.scale_bytes(1);
}

void CandidateErrors::add(const MatrixView& band) {
  std::vector<ErrorSum> sums(sums_.size());
  backend_.add_squared_errors(spec_, band, amaxes_, unit_, sums);
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < sums.size(); ++i) sums_[i] += sums[i];
}

float CandidateErrors::best_amax() const {
  return amaxes_[static_cast<std::size_t>(std::min_element(sums_.begin(), sums_.end()) - sums_.begin())];
}

}  // namespace halftone::exec
