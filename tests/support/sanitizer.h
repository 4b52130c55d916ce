#pragma once

namespace graft::test {

/// Whether this build is checked by AddressSanitizer, which keeps freed memory back: what a process holds then says nothing.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

}  // namespace graft::test
