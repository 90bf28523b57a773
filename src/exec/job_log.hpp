#pragma once

#include <cstddef>
#include <optional>

#include <halftone/learn.hpp>

namespace halftone::exec {

/// Knows which jobs of a plan are done, and hears of those that get done.  Several threads call it at once.
class JobLog {
 public:
  virtual ~JobLog() = default;
  /// Whether the outputs of job `index` of the plan are complete already; asked once, before the job is started.
  [[nodiscard]] virtual bool is_done(std::size_t index) = 0;
  /// What came of the layer of job `index`, which is_done(); nothing where it did not learn.
  [[nodiscard]] virtual std::optional<LearnedLayer> kept_layer(std::size_t index) const = 0;
  /// Called when job `index` has written all of its outputs; they may not be on disk yet.  `learned`: what came of its layer,
  /// null where it did not learn.
  virtual void job_done(std::size_t index, const LearnedLayer* learned) = 0;
};

}  // namespace halftone::exec
