#!/usr/bin/env bash
# A folder that runs on another x86-64 Linux machine without compiler or Python.
#   scripts/bundle.sh OUT                   LibTorch is found there: GRAFT_LIBTORCH, or an installed torch wheel of the same version
#   scripts/bundle.sh OUT --with-libtorch   LibTorch and the CUDA libraries it needs included (about 5 GB)
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

OUT="" WITH_LIBTORCH=no
for argument in "$@"; do
  case "$argument" in
    --with-libtorch) WITH_LIBTORCH=yes ;;
    -h|--help) sed -n '2,4p' "${BASH_SOURCE[0]}" | sed 's/^# //'; exit 0 ;;
    -*) fail "unknown argument $argument" "scripts/bundle.sh OUT [--with-libtorch]" ;;
    *) [ -z "$OUT" ] || fail "one OUT, not two"; OUT="$argument" ;;
  esac
done
[ -n "$OUT" ] || fail "where to?" "scripts/bundle.sh OUT [--with-libtorch]"
[ -x build/bin/graft ] || fail "build/bin/graft is not there" "scripts/build.sh"
[ ! -e "$OUT" ] || [ -z "$(ls -A "$OUT")" ] || fail "$OUT exists and is not empty" "name a new folder"

step "graft and recipes"
mkdir -p "$OUT/bin" "$OUT/lib" "$OUT/share/graft"
cmake --install build --prefix "$OUT/.install" >/dev/null
cp -L "$OUT"/.install/bin/graft "$OUT/bin/"
cp -L "$OUT"/.install/lib*/libgraft*.so "$OUT/lib/" 2>/dev/null || cp -L "$OUT"/.install/lib*/*/libgraft*.so "$OUT/lib/"
cp -r "$OUT"/.install/share/graft/recipes "$OUT/share/graft/"
rm -rf "$OUT/.install"

step "shared libraries that the other machine may lack"
# Everything the binaries need but LibTorch, the C library and the C++ runtime's base (every glibc system has those).
ldd "$OUT/bin/graft" "$OUT"/lib/*.so | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
  grep -Ev '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*)\.so|torch|libc10|nvidia|libcu|libgomp|/libstdc|/libgcc_s|/libutil' |
  while read -r library; do [ -e "$OUT/lib/$(basename "$library")" ] || cp -L "$library" "$OUT/lib/"; done

if [ "$WITH_LIBTORCH" = yes ]; then
  torch="${GRAFT_LIBTORCH:-$(echo "$VENV"/lib/python3*/site-packages/torch)}"
  [ -e "$torch/lib/libtorch_cpu.so" ] || fail "no LibTorch at $torch" "scripts/setup.sh"
  step "LibTorch from $torch"
  # The wheel's libraries find the CUDA ones at ../../nvidia relative to themselves: keep that shape.
  mkdir -p "$OUT/libtorch/torch"
  cp -r "$torch/lib" "$OUT/libtorch/torch/lib"
  cp "$torch/version.py" "$OUT/libtorch/torch/" 2>/dev/null || true
  [ ! -d "$torch/../nvidia" ] || cp -r "$torch/../nvidia" "$OUT/libtorch/nvidia"
  [ ! -d "$torch/../torch.libs" ] || cp -r "$torch/../torch.libs" "$OUT/libtorch/torch.libs"
fi
step "done: $OUT ($(du -sh "$OUT" | cut -f1))"
