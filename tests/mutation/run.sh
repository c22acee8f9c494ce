#!/usr/bin/env bash
# Makes small wrong changes one at a time, runs the tests that should notice, and tells which changes nobody noticed.
#
#   tests/mutation/run.sh [WORD]      only the changes whose line has WORD in it
#   DRY_RUN=1 tests/mutation/run.sh   whether they all still apply
#
# The changes are in changes.txt beside this file: file, what is there, what it becomes, and the arguments of
# `cargo test` that should fail, with | between them. What is there must stand once in the file. CARGO (default: cargo) and
# CARGO_TARGET_DIR are taken from the environment. Ends with code 1 if a change survived, and leaves the files as they were.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo=${CARGO:-cargo}
word=${1:-}
tried=0 survived=0 mutated='' kept=$(mktemp)
restore() {
    if [ -n "$mutated" ]; then cp "$kept" "$mutated"; fi
    mutated=''
}
trap 'restore; rm -f "$kept"' EXIT

while IFS='|' read -r file old new tests; do
    case $file in '' | '#'*) continue ;; esac
    case "$file|$old|$new|$tests" in *"$word"*) ;; *) continue ;; esac
    text=$(cat "$file" && printf x)
    text=${text%x}
    rest=${text#*"$old"}
    if [ "$rest" = "$text" ] || [ "${rest#*"$old"}" != "$rest" ]; then
        echo "$file: \"$old\" does not stand there once; mend changes.txt" >&2
        exit 2
    fi
    cp "$file" "$kept"
    mutated=$file
    printf '%s' "${text%%"$old"*}$new$rest" >"$file"
    tried=$((tried + 1))
    # shellcheck disable=SC2086
    if [ -n "${DRY_RUN:-}" ]; then
        verdict=applies
    elif ! $cargo test --quiet --no-run ${tests%% -- *} >/dev/null 2>&1 </dev/null; then
        echo "$file: does not compile with \"$new\"; mend changes.txt" >&2
        exit 2
    elif $cargo test --quiet $tests >/dev/null 2>&1 </dev/null; then
        verdict=SURVIVED
        survived=$((survived + 1))
    else
        verdict=noticed
    fi
    printf '%-9s %s: %s -> %s\n' "$verdict" "$file" "$old" "$new"
    restore
done <tests/mutation/changes.txt
[ -z "${DRY_RUN:-}" ] || { echo "all $tried changes apply" && exit; }
echo "$survived of $tried changes survived"
[ "$survived" = 0 ]
