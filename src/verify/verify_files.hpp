#pragma once

#include <halftone/backend.hpp>
#include <halftone/verify.hpp>

#include "eval/float_reader.hpp"
#include "io/model_files.hpp"
#include "verify/learned_noise.hpp"

namespace halftone::verify {

/// verify_model() on files that are open already; `original` is null for none.  Of `options` the source is not read, and
/// threads are not 0.  `learned`: what is known of layers whose codes were learned.
[[nodiscard]] Verification verify_files(const io::ModelFiles& files, const eval::FloatModel* original, const Backend& backend,
                                        const VerifyOptions& options, const RunControl& control, const LearnedNoises& learned = {});

}  // namespace halftone::verify
