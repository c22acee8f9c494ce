#!/usr/bin/env bash
# Makes small wrong changes one at a time, runs the tests that should notice, and tells which changes nobody noticed.
#
#   tests/mutation/run.sh [WORD]      only the changes whose line has WORD in it
#   DRY_RUN=1 tests/mutation/run.sh   whether they all still apply
#
# The changes are in changes.txt beside this file: file, what is there, what it becomes, and the arguments of
# `cargo test` that should fail, with | between them. What is there must stand once in the file. CARGO (default: cargo) and
# CARGO_TARGET_DIR are taken from the environment. Ends with code 1 if a change survived, and leaves the files as they were.
# Those with the same arguments follow each other, so that most of what one builds serves the next.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo=${CARGO:-cargo}
word=${1:-}
tried=0 survived=0 broken=0 mutated='' kept=$(mktemp) said=$(mktemp)
restore() {
    if [ -n "$mutated" ]; then cp "$kept" "$mutated"; fi
    mutated=''
    # What proptest notes of a failure lands where cargo looks for crates.
    rm -rf src/proptest-regressions
}
trap 'restore; rm -f "$kept" "$said"' EXIT

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
    elif $cargo test --quiet $tests >"$said" 2>&1 </dev/null; then
        verdict=SURVIVED
        survived=$((survived + 1))
    elif ! grep -q '^test result: FAILED' "$said"; then
        verdict=BROKEN
        broken=$((broken + 1))
        grep -A 6 '^error' "$said" >&2
    else
        verdict=noticed
    fi
    printf '%-9s %s: %s -> %s\n' "$verdict" "$file" "$old" "$new"
    restore
done < <(sort -s -t'|' -k4,4 tests/mutation/changes.txt)
[ -z "${DRY_RUN:-}" ] || { echo "all $tried changes apply" && exit; }
echo "$survived of $tried changes survived"
if [ "$broken" -gt 0 ]; then
    echo "$broken do not compile or run; mend changes.txt" >&2
    exit 2
fi
[ "$survived" = 0 ]
