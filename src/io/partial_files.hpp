#pragma once

#include <filesystem>

namespace halftone::io {

/// Remembers a file that is to be removed should the process have to end at once.  Returns the slot, or -1 where all slots
/// are taken or the name is too long (the file is then left behind).
[[nodiscard]] int remember_partial(const std::filesystem::path& path) noexcept;

/// Forgets the file of `slot`; -1 is allowed.
void forget_partial(int slot) noexcept;

/// Removes the files that are remembered.  May be called in a signal handler.
void remove_partial_files() noexcept;

}  // namespace halftone::io
