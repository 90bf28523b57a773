#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "exec/bands.hpp"
#include "exec/input_band.hpp"
#include "exec/store_floats.hpp"
#include "exec/work.hpp"

namespace halftone::exec {
namespace {

/// `original` in binary32, rounded to odd (an inexact value takes the neighbour whose last bit is 1) so
/// that rounding once more, to a type of two bits less or more, is the same as rounding once (Boldo and
/// Melquiond, 2008).  `nearest`: the same rounded to nearest, finite.
float rounded_to_odd(double original, float nearest) {
  if (static_cast<double>(nearest) == original || std::isnan(original)) return nearest;
  const bool beyond = std::fabs(static_cast<double>(nearest)) > std::fabs(original);
  return codec::from_bits((codec::bits(nearest) - (beyond ? 1U : 0U)) | 1U);
}

/// Converts a float tensor of any shape to another float type.
class CastWork : public Work {
 public:
  CastWork(const Job& job, const Context& context)
      : job_(job), context_(context), source_(job.inputs[0].info), target_(context.plan.output.tensors[job.outputs[0]]) {
    const std::uint64_t bytes = std::max(bits_of(source_.dtype), bits_of(target_.dtype)) / 8;
    bands_ = Bands(element_count(source_.shape), bytes, 1, context.band_bytes);
  }

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return bands_.count(); }

  std::uint64_t run(std::size_t, std::size_t task) override {
    const std::uint64_t in_bytes = bits_of(source_.dtype) / 8;
    const std::uint64_t out_bytes = bits_of(target_.dtype) / 8;
    const std::uint64_t first = bands_.first(task);
    const std::uint64_t n = bands_.size(task);
    const InputBand in(context_.files, job_.inputs[0], first * in_bytes, n * in_bytes);
    io::OutputFile::Window out = context_.window(job_.outputs[0], first * out_bytes, n * out_bytes);
    std::vector<float> values(std::min(kFloatChunk, n));
    for (std::uint64_t at = 0; at < n; at += kFloatChunk) {
      const std::uint64_t count = std::min(kFloatChunk, n - at);
      load(in.data() + at * in_bytes, first + at, count, values);
      store_floats(context_, target_, first + at, values, count, out.bytes().data() + at * out_bytes);
    }
    in.check();
    out.flush();
    return out.bytes().size();
  }

 private:
  /// The `n` elements at `data`, from element `first` on, as binary32.
  void load(const std::byte* data, std::uint64_t first, std::uint64_t n, std::vector<float>& values) const {
    context_.backend.to_float(source_.dtype, data, n, values.data());
    if (source_.dtype != Dtype::F64) return;
    for (std::uint64_t i = 0; i < n; ++i) {
      double original = 0;
      std::memcpy(&original, data + i * sizeof original, sizeof original);
      if (std::isfinite(original) && !std::isfinite(values[i])) {
        fail(ErrorKind::out_of_range, "the tensor '{}' holds {} at element {}, and {} goes through binary32, which holds at most {}",
             source_.name, original, first + i, name_of(target_.dtype), std::numeric_limits<float>::max());
      }
      if (target_.dtype != Dtype::F32) values[i] = rounded_to_odd(original, values[i]);
    }
  }

  const Job& job_;
  const Context& context_;
  const TensorInfo& source_;
  const TensorInfo& target_;
  Bands bands_;
};

}  // namespace

std::unique_ptr<Work> make_cast_work(const Job& job, const Context& context) { return std::make_unique<CastWork>(job, context); }

}  // namespace halftone::exec
