#pragma once

#include "learn/optimizer_run.hpp"

namespace halftone::cpu {

/// learn::Engine::advance() for a loss.
void advance(const learn::OptimizerRun& run, double loss);

/// learn::Engine::optimizer_step().
void optimizer_step(const learn::OptimizerRun& run);

}  // namespace halftone::cpu
