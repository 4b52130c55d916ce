#pragma once

namespace graft::app {

/// Seconds since the kernel started this process (loading of libraries included), to a hundredth. 0 when /proc does not say.
double process_age_seconds();

}  // namespace graft::app
