#pragma once

#include <vector>

// What the NVIDIA driver reads from the environment when it starts: to be called before anything looks for GPUs, while no
// other thread looks at the environment.

namespace halftone::tool {

/// Lets a program have fewer connections to a GPU than the driver would open, each of which takes time at its start and at its
/// end, unless the user has said how many.
void open_few_connections();

/// Hides the GPUs behind the last one of `ordinals` from the driver, which takes longer to start and to end the more it
/// shows.  The numbers of the others stay as they are.
void hide_gpus_behind(const std::vector<int>& ordinals);

}  // namespace halftone::tool
