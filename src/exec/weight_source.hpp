#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "exec/input_band.hpp"
#include "exec/work.hpp"
#include "formats/stored_matrix.hpp"

namespace halftone::exec {

/// The weight that a job quantizes, as floats: a tensor of the input as it lies there, or a stored layer
/// that is decoded to binary32.
class WeightSource {
  /// A range of the weight's tensor in the file.
  struct Bytes {
    std::uint64_t begin;
    std::uint64_t count;
  };

 public:
  WeightSource(const Job& job, const Context& context);

  /// Name, type and shape of the weight as it is quantized.
  [[nodiscard]] const TensorInfo& info() const noexcept { return info_; }

  /// Some of its elements while a task reads them.
  class Band {
   public:
    /// Elements [first, first + n); `again` says that they will be read once more.
    Band(const WeightSource& source, std::uint64_t first, std::uint64_t n, bool again);

    [[nodiscard]] const std::byte* data() const noexcept { return data_; }
    /// Says that the elements will not be read again after all.
    void read_last() noexcept { input_.read_last(); }
    /// Throws input_changed where bytes of the file were lost while the band was read.
    void check() const { input_.check(); }

   private:
    Band(const WeightSource& source, const Bytes& bytes, bool again);

    InputBand input_;
    std::vector<float> values_;  ///< of a stored layer
    const std::byte* data_;
  };

  /// Throws not_finite or out_of_range for the first element that is not finite or beyond `limit`.
  void reject_first_beyond(float limit) const;
  /// Throws out_of_range: its elements can be stored, but `reached`, the largest magnitude of the rotated ones, cannot.
  [[noreturn]] void refuse_rotation(float reached) const;

 private:
  /// What holds elements [first, first + n).
  [[nodiscard]] Bytes bytes_of(std::uint64_t first, std::uint64_t n) const;

  const Job& job_;
  const Context& context_;
  TensorInfo info_;
  std::optional<formats::StoredMatrix> stored_;
};

}  // namespace halftone::exec
