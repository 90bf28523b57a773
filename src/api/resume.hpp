#pragma once

#include <filesystem>
#include <optional>

#include <halftone/convert.hpp>

#include "io/journal.hpp"
#include "io/model_files.hpp"

namespace halftone::api {

/// Whether the codes of a plan depend on the kind of device.
[[nodiscard]] bool learns(const Plan& plan);

/// What a run reads and where.
struct RunSources {
  const io::ModelFiles& files;
  const io::ModelFiles* statistics;  ///< null without
  std::string product;               ///< of the backend
};

/// What the bytes of a run follow from.
[[nodiscard]] io::RunIdentity identity_of(const std::filesystem::path& output, const Plan& plan, const RunSources& from,
                                          const RunOptions& options);

/// Throws journal_mismatch where `options` neither resume nor replace and a run to `output` was interrupted that had
/// learned: that may have taken hours, and is not thrown away unasked.
void refuse_to_lose(const std::filesystem::path& output, const RunOptions& options);

/// A journal, and what becomes of the run whose journal it was.
struct OpenedJournal {
  io::Journal journal;
  io::RunIdentity identity;  ///< of this run
  bool resumes = false;      ///< the run goes on where that one stopped
  bool is_complete = false;  ///< that run was killed when its output had its name: there is nothing to do

  /// Opens the journal of `output` where `options` ask for one, and tells what is found.
  /// Throws journal_mismatch where another run was interrupted here and this one should go on with it; and as io::Journal.
  OpenedJournal(const std::filesystem::path& output, const Plan& plan, const RunSources& from, const RunOptions& options);

  /// Begins the journal, or goes on in it.  Throws no_space or io.
  void start();
};

}  // namespace halftone::api
