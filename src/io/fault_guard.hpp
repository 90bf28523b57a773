#pragma once

#include <cstddef>

namespace halftone::io {

/// Registers a mapped range.  An access that the kernel answers with SIGBUS inside a registered
/// range is answered with a page of zeros and remembered; SIGBUS anywhere else goes to the
/// handler that was installed before.  Returns the slot, or -1 where all slots are taken (the
/// range is then unguarded).  The first call installs the handler for the process.
[[nodiscard]] int guard_range(const void* begin, std::size_t n_bytes) noexcept;

/// Forgets the range of `slot`; -1 is allowed.
void unguard_range(int slot) noexcept;

/// True once a page of the range of `slot` was lost.
[[nodiscard]] bool guard_faulted(int slot) noexcept;

}  // namespace halftone::io
