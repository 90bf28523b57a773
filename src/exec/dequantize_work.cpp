#include <vector>

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
      store_floats(context_, target_, (first + row) * columns, values, count * columns, out.bytes().data() + row * columns * out_bytes);
    }
    in.check();
    out.flush();
    return out.bytes().size();
  }

 private:
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
