#pragma once

#include <halftone/run_control.hpp>

namespace halftone::tool {

/// Makes SIGINT, SIGTERM and SIGHUP ask `control` to stop, unless they were ignored before (nohup).
/// A second SIGINT ends the process at once.
void stop_on_signals(RunControl& control);

/// Makes exceeding a file-size limit and writing to a closed pipe errors instead of signals.
void ignore_write_signals();

}  // namespace halftone::tool
