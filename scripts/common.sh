# Sourced by the scripts: where the project is, one visible line per step, one clear error.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"
step() { printf '== %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf '  do: %s\n' "$2" >&2; exit 1; }
VENV="$ROOT/.deps/venv"
LIBTORCH_VERSION=2.11.0
