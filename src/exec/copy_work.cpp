#include <cstring>

#include "exec/bands.hpp"
#include "exec/input_band.hpp"
#include "exec/work.hpp"

namespace halftone::exec {
namespace {

/// Moves a tensor's bytes as they are.
class CopyWork : public Work {
 public:
  CopyWork(const Job& job, const Context& context)
      : job_(job), context_(context), bands_(job.inputs[0].info.bytes(), 1, 1, context.band_bytes) {}

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return bands_.count(); }

  std::uint64_t run(std::size_t, std::size_t task) override {
    const std::uint64_t first = bands_.first(task);
    const InputBand in(context_.files, job_.inputs[0], first, bands_.size(task));
    io::OutputFile::Window out = context_.window(job_.outputs[0], first, bands_.size(task));
    std::memcpy(out.bytes().data(), in.data(), in.bytes().size());
    in.check();
    out.flush();
    return bands_.size(task);
  }

 private:
  const Job& job_;
  const Context& context_;
  Bands bands_;
};

}  // namespace

std::unique_ptr<Work> make_copy_work(const Job& job, const Context& context) { return std::make_unique<CopyWork>(job, context); }

}  // namespace halftone::exec
