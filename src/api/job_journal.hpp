#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include <halftone/convert.hpp>

#include "exec/job_log.hpp"
#include "io/journal.hpp"
#include "io/output_file.hpp"

namespace halftone::api {

/// What came of the layer of job `index`, as `journal` has it; nothing where it has none.
[[nodiscard]] std::optional<LearnedLayer> learned_layer(const io::Journal& journal, const Plan& plan, std::size_t index);

/// Records the jobs of a run in its journal: a thread of its own syncs the outputs about once a second and
/// then writes the records of the jobs that were done before.  Jobs that the journal had when it was opened are done
/// where the outputs still hold what they wrote.
class JobJournal : public exec::JobLog {
 public:
  /// `journal` has been begun, or goes on.  All arguments must outlive this.
  JobJournal(io::Journal& journal, const Plan& plan, std::span<io::OutputFile* const> outputs);
  JobJournal(const JobJournal&) = delete;
  JobJournal& operator=(const JobJournal&) = delete;
  /// Records what is done, too, as far as that is possible.
  ~JobJournal() override;

  [[nodiscard]] bool is_done(std::size_t index) override;
  [[nodiscard]] std::optional<LearnedLayer> kept_layer(std::size_t index) const override;
  /// Throws what the thread that writes has met: no_space, io.
  void job_done(std::size_t index, const LearnedLayer* learned) override;
  /// Records all that is done.  Throws no_space, io.
  void finish();

  /// What is_done() has found so far.
  [[nodiscard]] Resumption found() const;

 private:
  [[nodiscard]] std::uint64_t digest_of(std::size_t index, std::string_view note) const;
  void loop();
  void record(const std::vector<io::Journal::Record>& batch);
  void end() noexcept;

  io::Journal& journal_;
  const Plan& plan_;
  std::span<io::OutputFile* const> outputs_;
  std::atomic<std::uint64_t> kept_{0};
  std::atomic<std::uint64_t> redone_{0};
  std::atomic<std::uint64_t> kept_bytes_{0};
  std::atomic<std::uint64_t> layers_kept_{0};
  std::mutex mutex_;
  std::condition_variable ending_;
  std::vector<io::Journal::Record> waiting_;  ///< done, and not recorded yet
  std::exception_ptr error_;                  ///< of the thread
  bool end_ = false;
  std::thread thread_;
};

}  // namespace halftone::api
