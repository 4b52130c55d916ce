#!/usr/bin/env bash
# Set-up, build, then all tests but those labelled cuda and slow; with labels as arguments, just those.
#   scripts/test.sh [unit|parity|cli|fault|structure|examples|cuda|slow …]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh --parity
scripts/build.sh
if [ $# -eq 0 ]; then
  SELECT=(-LE '^(cuda|slow)$')
else
  SELECT=(-L "^($(IFS='|'; printf %s "$*"))\$")
fi
step "tests"
exec ctest --test-dir build -j2 --output-on-failure --no-tests=error "${SELECT[@]}"
