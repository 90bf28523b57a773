#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include <halftone/backend.hpp>

namespace halftone::exec {

/// What each candidate of a search for the scale of a whole weight loses: the squared error of the weight, as it would
/// be quantized with that scale.  The choice is the same however the weight is cut into bands and whoever adds them.
class CandidateErrors {
 public:
  /// `amax`: the largest magnitude of the weight, which must be finite.  `spec` searches.
  CandidateErrors(const Backend& backend, const QuantSpec& spec, float amax);

  /// Whether `spec` searches and its format has several scales of a whole weight to choose from.
  [[nodiscard]] static bool are_needed(const QuantSpec& spec) noexcept;
  /// Bytes of memory that add() takes for rows of `columns` weights.
  [[nodiscard]] static std::uint64_t memory_bytes(const QuantSpec& spec, std::uint64_t columns);

  /// Adds the errors of `band`, whole rows that no other call adds.  May be called from several threads at once.
  void add(const MatrixView& band);

  /// The magnitude to give Backend::quantize() and tensor_scale() in place of the largest: that of the candidate of
  /// least error, of equal ones the first.
  [[nodiscard]] float best_amax() const;
  /// The error of each candidate.
  [[nodiscard]] const std::vector<ErrorSum>& sums() const noexcept { return sums_; }

 private:
  const Backend& backend_;
  const QuantSpec& spec_;
  std::vector<float> amaxes_;  ///< of the candidates
  float unit_;                 ///< a power of two near 1 / amax: errors in this unit neither overflow nor vanish
  std::mutex mutex_;
  std::vector<ErrorSum> sums_;
};

}  // namespace halftone::exec
