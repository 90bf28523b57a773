#pragma once

/// The whole public interface.
///
///     #include <halftone/halftone.hpp>
///
///     int main() {
///       try {
///         halftone::PlanOptions options;
///         options.spec.format = &halftone::format_named("fp8");
///         halftone::RunControl control;  // another thread may watch it, or set control.stop
///         const auto report = halftone::convert("model.safetensors", "model-fp8.safetensors",
///                                               options, {}, control);
///         std::printf("%zu tensors\n", report.plan.output.tensors.size());
///       } catch (const halftone::Error& error) {
///         std::fprintf(stderr, "%s\n", error.what());
///         return static_cast<int>(halftone::exit_code_of(error.kind()));
///       }
///     }
///
/// tests/package/outside is this example as a project that finds the installed library.

#include <halftone/backend.hpp>
#include <halftone/bench.hpp>
#include <halftone/codec/codebook.hpp>
#include <halftone/codec/e8m0.hpp>
#include <halftone/codec/half.hpp>
#include <halftone/codec/integer.hpp>
#include <halftone/codec/minifloat.hpp>
#include <halftone/compare.hpp>
#include <halftone/convert.hpp>
#include <halftone/dtype.hpp>
#include <halftone/edit.hpp>
#include <halftone/error.hpp>
#include <halftone/example.hpp>
#include <halftone/format.hpp>
#include <halftone/learn.hpp>
#include <halftone/linear.hpp>
#include <halftone/migrate.hpp>
#include <halftone/model.hpp>
#include <halftone/optimizer.hpp>
#include <halftone/plan.hpp>
#include <halftone/preset.hpp>
#include <halftone/rule.hpp>
#include <halftone/run_control.hpp>
#include <halftone/safetensors.hpp>
#include <halftone/tensor.hpp>
#include <halftone/verify.hpp>
