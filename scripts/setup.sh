#!/usr/bin/env bash
# Installs what the build needs, and nothing twice: Debian/Ubuntu packages and LibTorch (the pinned torch wheel, or GRAFT_LIBTORCH).
#   scripts/setup.sh            build and run
#   scripts/setup.sh --parity   also the Python peers the tests compare with
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PARITY=no
for argument in "$@"; do
  case "$argument" in
    --parity) PARITY=yes ;;
    -h|--help) sed -n '2,4p' "${BASH_SOURCE[0]}" | sed 's/^# //'; exit 0 ;;
    *) fail "unknown argument $argument" "scripts/setup.sh [--parity]" ;;
  esac
done

PACKAGES=(g++ cmake ninja-build ccache pkg-config git python3 python3-venv
          libyaml-cpp-dev libcli11-dev libspdlog-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev libssl-dev catch2)

install_packages() {
  local missing=() package
  command -v dpkg-query >/dev/null || fail "this is neither Debian nor Ubuntu: dpkg-query is not there" "install the counterparts of: ${PACKAGES[*]}"
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then step "system packages: all ${#PACKAGES[@]} present"; return; fi
  local line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  [ "$(id -u)" -eq 0 ] || fail "these system packages are missing: ${missing[*]}" "sudo sh -c '$line'"
  step "system packages: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$ROOT/.deps/apt.log" 2>&1 ||
    fail "apt-get failed (log: .deps/apt.log): $(tail -n 1 "$ROOT/.deps/apt.log")" "check the network and the package sources, then run scripts/setup.sh again"
}

need_disk() {  # $1 GiB, for $2
  local free
  free=$(df -Pk "$ROOT" | awk 'NR==2 {print int($4 / 1048576)}')
  [ "$free" -ge "$1" ] || fail "$2 needs $1 GiB of disk, $free GiB are free on $(df -P "$ROOT" | awk 'NR==2 {print $6}')" "free some space, or set GRAFT_LIBTORCH to a LibTorch that is already there"
}

make_venv() {
  if [ ! -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    step "private Python environment: .deps/venv"
    rm -rf "$VENV"
    python3 -m venv "$VENV" || fail "python3 -m venv failed" "install python3-venv"
  fi
}

pip_install() {  # $1 what, rest: arguments
  local what="$1"; shift
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >"$ROOT/.deps/pip.log" 2>&1 ||
    fail "installing $what failed (log: .deps/pip.log): $(tail -n 1 "$ROOT/.deps/pip.log")" "check the network, then run scripts/setup.sh again"
}

has_distribution() {  # name==version
  "$VENV/bin/python" - "$1" <<'P' 2>/dev/null
import sys, importlib.metadata as metadata
name, version = sys.argv[1].split("==")
sys.exit(0 if metadata.version(name).split("+")[0] == version else 1)
P
}

install_libtorch() {
  if [ -n "${GRAFT_LIBTORCH:-}" ]; then
    [ -e "$GRAFT_LIBTORCH/lib/libtorch_cpu.so" ] || fail "GRAFT_LIBTORCH=$GRAFT_LIBTORCH has no lib/libtorch_cpu.so" "point it at an unpacked LibTorch $LIBTORCH_VERSION (the folder with include/ and lib/)"
    step "LibTorch: GRAFT_LIBTORCH=$GRAFT_LIBTORCH"
    return
  fi
  make_venv
  if has_distribution "torch==$LIBTORCH_VERSION"; then step "LibTorch $LIBTORCH_VERSION: present in .deps/venv"; return; fi
  need_disk 8 "LibTorch"
  step "LibTorch $LIBTORCH_VERSION: installing the torch wheel into .deps/venv (about 5 GB, a minute on a fast line)"
  pip_install "torch $LIBTORCH_VERSION" "torch==$LIBTORCH_VERSION"
}

install_peers() {
  local requirement missing=()
  make_venv
  while read -r requirement; do
    case "$requirement" in ''|'#'*) continue ;; esac
    has_distribution "$requirement" || missing+=("$requirement")
  done < scripts/parity-requirements.txt
  if [ ${#missing[@]} -eq 0 ]; then step "Python peers: present"; return; fi
  step "Python peers: installing ${missing[*]}"
  pip_install "the Python peers" "torch==$LIBTORCH_VERSION" "${missing[@]}"
}

mkdir -p "$ROOT/.deps"
exec 9>"$ROOT/.deps/.setup-lock"
flock 9 2>/dev/null || true  # two set-ups at once wait for each other
install_packages
install_libtorch
[ "$PARITY" = no ] || install_peers
step "set-up done"
