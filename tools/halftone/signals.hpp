#pragma once

#include <halftone/run_control.hpp>

namespace halftone::tool {

/// Makes SIGINT, SIGTERM and SIGHUP ask `control` to stop, and exceeding a file-size limit an
/// error instead of a signal.  A second SIGINT ends the process at once.
void install_signal_handlers(RunControl& control);

}  // namespace halftone::tool
