#pragma once

#include <halftone/run_control.hpp>

namespace halftone::tool {

/// Makes SIGINT, SIGTERM and SIGHUP ask `control` to stop, unless they were ignored before (nohup).
/// Where that takes more than some seconds, or on a second signal of the same kind, the process ends at once, and what was
/// half written is removed.
void stop_on_signals(RunControl& control);

/// Makes exceeding a file-size limit and writing to a closed pipe errors instead of signals.
void ignore_write_signals();

}  // namespace halftone::tool
