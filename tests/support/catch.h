#pragma once

// Catch2 2 (Debian 12) and 3 (Ubuntu 24.04) behind one include. Use Contains(…) as the string matcher in both.
#if GRAFT_CATCH2_VERSION >= 3
#include <catch2/catch_all.hpp>
using Catch::Approx;
inline auto Contains(const std::string& text) { return Catch::Matchers::ContainsSubstring(text); }
#else
#include <catch2/catch.hpp>
using Catch::Matchers::Contains;
#endif
