#pragma once

// One binary runs on every x86-64 and uses what it finds: the loader picks the widest clone of each loop.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define GRAFT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define GRAFT_CLONES
#endif
