#include "exec/work.hpp"

#include "base/fail.hpp"

namespace halftone::exec {

std::unique_ptr<Work> make_work(const Job& job, const Context& context) {
  switch (job.kind) {
    case JobKind::copy: return make_copy_work(job, context);
    case JobKind::constant: return make_constant_work(job, context);
    case JobKind::cast: return make_cast_work(job, context);
    case JobKind::quantize: return job.learn ? make_learn_work(job, context) : make_quantize_work(job, context);
    case JobKind::dequantize: return make_dequantize_work(job, context);
    case JobKind::recode: return make_recode_work(job, context);
    case JobKind::largest_scale: return make_largest_scale_work(job, context);
    case JobKind::unnest: return make_unnest_work(job, context);
  }
  fail(ErrorKind::internal, "a job of an unknown kind");
}

}  // namespace halftone::exec
