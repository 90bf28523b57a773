#include <algorithm>

#include "exec/bands.hpp"
#include "exec/input_band.hpp"
#include "exec/work.hpp"
#include "formats/recoding.hpp"

namespace halftone::exec {
namespace {

/// Gives codes another layout, byte by byte.  Layouts differ in how far they fill up the last block.
class RecodeWork : public Work {
 public:
  RecodeWork(const Job& job, const Context& context)
      : job_(job),
        context_(context),
        recoding_(formats::recoding(*job.stored->spec.format, *job.spec.format)),
        bands_(context.plan.output.tensors[job.outputs[0]].bytes(), 1, 1, context.band_bytes) {}

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return bands_.count(); }

  std::uint64_t run(std::size_t, std::size_t task) override {
    const std::uint64_t size = bands_.size(task);
    const std::uint64_t held = job_.inputs[0].info.bytes();
    const std::uint64_t first = std::min(bands_.first(task), held);
    const InputBand in(context_.files, job_.inputs[0], first, std::min(size, held - first));
    io::OutputFile::Window out = context_.window(job_.outputs[0], bands_.first(task), size);
    const auto end = std::transform(in.bytes().begin(), in.bytes().end(), out.bytes().begin(),
                                    [&](std::byte codes) { return recoding_.bytes[std::to_integer<std::size_t>(codes)]; });
    std::fill(end, out.bytes().end(), recoding_.filling);
    in.check();
    out.flush();
    return size;
  }

 private:
  const Job& job_;
  const Context& context_;
  formats::Recoding recoding_;
  Bands bands_;
};

}  // namespace

std::unique_ptr<Work> make_recode_work(const Job& job, const Context& context) { return std::make_unique<RecodeWork>(job, context); }

}  // namespace halftone::exec
