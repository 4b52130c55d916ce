#!/usr/bin/env bash
# Set-up, build, then two customers' adapters over one small base, trained here in about two minutes: shows what each one answers.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -eq 0 ] || { sed -n '2p' "${BASH_SOURCE[0]}" | sed 's/^# //'; [[ "$1" =~ ^(-h|--help)$ ]] && exit 0 || exit 64; }
scripts/setup.sh
scripts/build.sh --target graft_cli --target graft_jobs

GRAFT=build/bin/graft BASE=recipes/quickstart/base
step "training customer Acorn's adapter (recipes/quickstart.yaml)"
ACORN=$($GRAFT train recipes/quickstart.yaml)
step "training customer Bolt's adapter (the same recipe, other data)"
BOLT=$($GRAFT train recipes/quickstart.yaml name=bolt output_dir=runs/quickstart/bolt \
  data.train.0.path=recipes/quickstart/bolt_train.jsonl data.eval.0.path=recipes/quickstart/bolt_eval.jsonl)
step "one base, two adapters"
python3 scripts/quickstart_report.py "$GRAFT" "$BASE" acorn="$ACORN" bolt="$BOLT"
step "the adapters are in $ACORN and $BOLT (PEFT's format)"
