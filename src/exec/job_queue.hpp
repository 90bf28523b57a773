#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <halftone/plan.hpp>

namespace halftone::exec {

/// The jobs of a plan that have not begun.  Layers that learn begin in an order of their own, those of most work first:
/// each is worked on as a whole, and a large one that is left for the end would keep one device busy and the others idle.
/// All other jobs begin in the order of the output.
class JobQueue {
 public:
  /// `work`: that of each job on its codes, in any unit, 0 for those that do not learn.  `learning_at_once`: layers that may learn at
  /// a time.
  JobQueue(const Plan& plan, std::span<const double> work, std::size_t learning_at_once);

  /// Takes a layer that is to learn, or null where so many learn already, or none is left with a rank below `limit`.
  [[nodiscard]] const Job* take_learning(std::size_t limit);
  /// To be called when a layer has learned.
  void end_learning() noexcept { --learning_; }
  /// Takes another job, or null where none is left with a rank below `limit`.
  [[nodiscard]] const Job* take_other(std::size_t limit);

  /// One number for each job, above 0: of errors, that of the lowest rank is reported.  Jobs that do not learn are first,
  /// for they are soon done; in each kind it is the order in which they begin.
  [[nodiscard]] std::size_t rank(const Job& job) const { return ranks_[static_cast<std::size_t>(&job - plan_.jobs.data())]; }

 private:
  /// The jobs of one kind.
  struct Line {
    std::vector<const Job*> jobs;
    std::size_t next = 0;
  };
  [[nodiscard]] const Job* take(Line& line, std::size_t limit) const;

  const Plan& plan_;
  Line learning_line_;
  Line other_line_;
  std::vector<std::size_t> ranks_;
  std::size_t most_learning_;
  std::size_t learning_ = 0;
};

}  // namespace halftone::exec
