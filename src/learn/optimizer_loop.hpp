#pragma once

#include <cstdint>

namespace halftone::learn {

struct Matrix;

/// The iterations of a loop over codes as an engine carries them out in its own way, faster than by its single operations.
class OptimizerLoop {
 public:
  OptimizerLoop() = default;
  OptimizerLoop(const OptimizerLoop&) = delete;
  OptimizerLoop& operator=(const OptimizerLoop&) = delete;
  virtual ~OptimizerLoop() = default;

  /// Takes other errors of the present iterate: its scales have been moved.
  virtual void set_errors(const Matrix& errors) = 0;
  /// Carries out the next `n` iterations; those after the loop has stopped change nothing.
  virtual void iterate(std::uint32_t n) = 0;
};

}  // namespace halftone::learn
