#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "exec/bands.hpp"
#include "exec/input_band.hpp"
#include "exec/store_floats.hpp"
#include "exec/stored_input.hpp"
#include "exec/work.hpp"

namespace halftone::exec {
namespace {

/// Turns the codes and scales of a layer back into floats.
class DequantizeWork : public Work {
 public:
  DequantizeWork(const Job& job, const Context& context)
      : job_(job),
        context_(context),
        target_(context.plan.output.tensors[job.outputs[0]]),
        stored_(stored_input(job, context)),
        bands_(stored_.rows(), stored_.columns() * bits_of(target_.dtype) / 8, stored_.row_multiple(), context.band_bytes) {}

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return stored_.columns() == 0 ? 0 : bands_.count(); }

  std::uint64_t run(std::size_t, std::size_t task) override {
    const std::uint64_t columns = stored_.columns();
    const std::uint64_t out_bytes = bits_of(target_.dtype) / 8;
    const std::uint64_t first = bands_.first(task);
    const std::uint64_t rows = bands_.size(task);
    const auto codes = stored_.codes_of(first, rows);
    const auto begin = static_cast<std::uint64_t>(codes.data() - context_.files.bytes(job_.inputs[0]).data());
    const InputBand in(context_.files, job_.inputs[0], begin, codes.size());
    io::OutputFile::Window out = context_.window(job_.outputs[0], first * columns * out_bytes, rows * columns * out_bytes);
    const Bands chunks(rows, columns, stored_.row_multiple(), kFloatChunk);
    std::vector<float> values(chunks.size(0) * columns);
    for (std::uint64_t chunk = 0; chunk < chunks.count(); ++chunk) {
      const std::uint64_t row = chunks.first(chunk);
      const std::uint64_t count = chunks.size(chunk);
      stored_.read(context_.backend, first + row, count, values.data());
      reject_overflow(first + row, std::span(values).first(count * columns));
      store_floats(context_, target_, (first + row) * columns, values, count * columns, out.bytes().data() + row * columns * out_bytes);
    }
    in.check();
    out.flush();
    return out.bytes().size();
  }

 private:
  /// Throws out_of_range for the first of the values of rows from `first` on that is not finite, unless its code is none.
  void reject_overflow(std::uint64_t first, std::span<const float> values) const {
    std::uint32_t largest = 0;
    for (const float value : values) largest = std::max(largest, codec::bits(codec::magnitude(value)));
    if (largest < codec::kInfinityBits) return;
    const std::uint64_t columns = stored_.columns();
    std::vector<std::uint8_t> codes;
    for (std::uint64_t at = 0; at < values.size(); ++at) {
      if (at % columns == 0) codes = codes_that_may_be_infinite(first + at / columns);
      if (std::isfinite(values[at]) || (!codes.empty() && !std::isfinite(stored_.value_of(codes[at % columns], 1.0F)))) continue;
      fail(ErrorKind::out_of_range, "the layer of '{}' has a value at row {}, column {} that exceeds what binary32 holds, {}",
           job_.inputs[0].info.name, first + at / columns, at % columns, std::numeric_limits<float>::max());
    }
  }

  /// The codes of a row; empty where all codes of the format are numbers.
  [[nodiscard]] std::vector<std::uint8_t> codes_that_may_be_infinite(std::uint64_t row) const {
    const QuantSpec& spec = job_.stored->spec;
    if (spec.format->storage().code_bits != 8 || spec.format->storage().flat || spec.rotation_group != 0) return {};
    std::vector<std::uint8_t> codes(stored_.columns());
    stored_.unpack_codes(row, codes.data());
    return codes;
  }

  const Job& job_;
  const Context& context_;
  const TensorInfo& target_;
  formats::StoredMatrix stored_;
  Bands bands_;
};

}  // namespace

std::unique_ptr<Work> make_dequantize_work(const Job& job, const Context& context) {
  return std::make_unique<DequantizeWork>(job, context);
}

}  // namespace halftone::exec
