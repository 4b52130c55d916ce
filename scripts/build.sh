#!/usr/bin/env bash
# Configures and builds into build/ (build/bin/graft, build/lib/libgraft.so).
#   scripts/build.sh [--cuda on|off|auto] [--preset release|debug|asan|tidy] [--target NAME]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PRESET=release CUDA=AUTO TARGETS=()
while [ $# -gt 0 ]; do
  case "$1" in
    --cuda) CUDA="$(printf %s "${2:-}" | tr a-z A-Z)"; case "$CUDA" in ON|OFF|AUTO) ;; *) fail "--cuda takes on, off or auto" ;; esac; shift 2 ;;
    --preset) PRESET="${2:-}"; case "$PRESET" in release|debug|asan|tidy) ;; *) fail "--preset takes release, debug, asan or tidy" ;; esac; shift 2 ;;
    --target) TARGETS+=("${2:?--target needs a name}"); shift 2 ;;
    -h|--help) sed -n '2,3p' "${BASH_SOURCE[0]}" | sed 's/^# //'; exit 0 ;;
    *) fail "unknown argument $1" "scripts/build.sh [--cuda on|off|auto] [--preset NAME]" ;;
  esac
done

for tool in cmake ninja c++; do command -v $tool >/dev/null || fail "$tool is not installed" "scripts/setup.sh"; done
step "configure (preset $PRESET, CUDA kernels $CUDA)"
cmake --preset "$PRESET" -DGRAFT_CUDA="$CUDA" ${GRAFT_LIBTORCH:+-DGRAFT_LIBTORCH="$GRAFT_LIBTORCH"} >"$ROOT/.deps/configure.log" 2>&1 ||
  { cat "$ROOT/.deps/configure.log" >&2; fail "configuration failed" "scripts/setup.sh installs what is missing"; }
step "build"
cmake --build --preset "$PRESET" ${TARGETS[@]:+--target "${TARGETS[@]}"} >&2
