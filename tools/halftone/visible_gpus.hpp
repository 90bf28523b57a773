#pragma once

#include <vector>

namespace halftone::tool {

/// Hides the GPUs behind the last one of `ordinals` from the driver, which takes longer to start and to end the more it
/// shows.  The numbers of the others stay as they are.  To be called before anything looks for GPUs, while no other thread
/// looks at the environment.
void hide_gpus_behind(const std::vector<int>& ordinals);

}  // namespace halftone::tool
