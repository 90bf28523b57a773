#include "exec/weight_source.hpp"

#include <algorithm>
#include <cmath>

#include "base/fail.hpp"
#include "exec/bands.hpp"
#include "exec/float_check.hpp"
#include "exec/store_floats.hpp"
#include "exec/stored_input.hpp"

namespace halftone::exec {

namespace {

/// Rows [begin, end) of a stored weight that can be read and hold certain elements.
struct Rows {
  Rows(const formats::StoredMatrix& stored, std::uint64_t first, std::uint64_t n)
      : begin(first / stored.columns() / stored.row_multiple() * stored.row_multiple()), end(base::ceil_div(first + n, stored.columns())) {}

  std::uint64_t begin;
  std::uint64_t end;
};

}  // namespace

WeightSource::WeightSource(const Job& job, const Context& context) : job_(job), context_(context), info_(job.inputs[0].info) {
  if (!job.stored) return;
  stored_.emplace(stored_input(job, context));
  info_.dtype = Dtype::F32;
  info_.shape = job.stored->shape;
}

WeightSource::Bytes WeightSource::bytes_of(std::uint64_t first, std::uint64_t n) const {
  if (n == 0) return {0, 0};
  if (!stored_) {
    const std::uint64_t element = bits_of(info_.dtype) / 8;
    return {first * element, n * element};
  }
  const Rows rows(*stored_, first, n);
  const auto codes = stored_->codes_of(rows.begin, rows.end - rows.begin);
  return {static_cast<std::uint64_t>(codes.data() - context_.files.bytes(job_.inputs[0]).data()), codes.size()};
}

WeightSource::Band::Band(const WeightSource& source, std::uint64_t first, std::uint64_t n, bool again)
    : Band(source, source.bytes_of(first, n), again) {
  if (!source.stored_ || n == 0) return;
  const Rows rows(*source.stored_, first, n);
  const std::uint64_t columns = source.stored_->columns();
  values_.resize((rows.end - rows.begin) * columns);
  source.stored_->read(source.context_.backend, rows.begin, rows.end - rows.begin, values_.data());
  data_ = reinterpret_cast<const std::byte*>(values_.data() + (first - rows.begin * columns));
}

WeightSource::Band::Band(const WeightSource& source, const Bytes& bytes, bool again)
    : input_(source.context_.files, source.job_.inputs[0], bytes.begin, bytes.count, again), data_(input_.data()) {}

void WeightSource::refuse_rotation(float reached) const {
  const FormatDescriptor& format = *job_.spec.format;
  if (std::isfinite(reached)) {
    fail(ErrorKind::out_of_range, "the tensor '{}' reaches {} when it is rotated, and {} holds at most {}", info_.name, reached,
         format.name(), format.facts().largest_weight);
  }
  fail(ErrorKind::out_of_range, "the tensor '{}' holds values that exceed the range of binary32 when they are rotated", info_.name);
}

void WeightSource::reject_first_beyond(float limit) const {
  if (!stored_) return exec::reject_first_beyond(context_.backend, info_, context_.files.bytes(job_.inputs[0]), limit, limit, true);
  const std::uint64_t elements = element_count(info_.shape);
  for (std::uint64_t first = 0; first < elements; first += kFloatChunk) {
    const std::uint64_t n = std::min(kFloatChunk, elements - first);
    const Band part(*this, first, n, true);
    exec::reject_first_beyond(context_.backend, info_, {part.data(), n * sizeof(float)}, limit, limit, true, first);
  }
}

}  // namespace halftone::exec
