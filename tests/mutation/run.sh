#!/usr/bin/env bash
# Makes small wrong changes one at a time, runs the tests that should notice, and tells which changes nobody noticed.
#
#   tests/mutation/run.sh [WORD]      only the changes whose line has WORD in it
#   DRY_RUN=1 tests/mutation/run.sh   whether they all still apply
#
# The changes are in changes.txt beside this file: file, what is there, what it becomes, and the arguments of
# `cargo test` that should fail, with | between them (\| is a | of the code). What is there must stand once in the file.
# CARGO (default: cargo) and CARGO_TARGET_DIR are taken from the environment. Ends with code 1 if a change survived, and
# leaves the files as they were.
# What is tried is built first, then tested; with a change a test may also never end: more than SECONDS_MAX (default: 600)
# is noticed, too, and printed as `hangs`. Those with the same arguments follow each other, so that most of what one builds
# serves the next; before the first of them the tests must pass with no change made, and be more than none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo=${CARGO:-cargo}
word=${1:-}
tried=0 survived=0 broken=0 mutated='' passing='' bar=$'\a' kept=$(mktemp) said=$(mktemp)
restore() {
    if [ -n "$mutated" ]; then cp "$kept" "$mutated"; fi
    mutated=''
    # What proptest notes of a failure lands among the tests, and where cargo looks for crates.
    rm -rf src/proptest-regressions tests/proptest-regressions
}
# Tests with what stands in the files: passes, fails, hangs, or BROKEN if they cannot be built.
tested() {
    # shellcheck disable=SC2086
    if ! $cargo test --quiet --no-run $1 >"$said" 2>&1 </dev/null; then
        echo BROKEN
        return
    fi
    local code=0
    # shellcheck disable=SC2086
    timeout "${SECONDS_MAX:-600}" $cargo test --quiet $1 >"$said" 2>&1 </dev/null || code=$?
    case $code in
    0) echo passes ;;
    124) echo hangs ;;
    *) if grep -q '^test result: FAILED' "$said"; then echo fails; else echo BROKEN; fi ;;
    esac
}
trap 'restore; rm -f "$kept" "$said"' EXIT

while IFS='|' read -r file old new tests; do
    case $file in '' | '#'*) continue ;; esac
    case "$file|$old|$new|$tests" in *"$word"*) ;; *) continue ;; esac
    old=${old//$bar/|} new=${new//$bar/|}
    text=$(cat "$file" && printf x)
    text=${text%x}
    rest=${text#*"$old"}
    if [ "$rest" = "$text" ] || [ "${rest#*"$old"}" != "$rest" ]; then
        echo "$file: \"$old\" does not stand there once; mend changes.txt" >&2
        exit 2
    fi
    if [ -z "${DRY_RUN:-}" ] && [ "$tests" != "$passing" ]; then
        if [ "$(tested "$tests")" != passes ] || ! grep -q '^running [1-9]' "$said"; then
            cat "$said" >&2
            echo "cargo test $tests: fails or tests nothing before anything is changed" >&2
            exit 2
        fi
        passing=$tests
    fi
    cp "$file" "$kept"
    mutated=$file
    printf '%s' "${text%%"$old"*}$new$rest" >"$file"
    tried=$((tried + 1))
    if [ -n "${DRY_RUN:-}" ]; then verdict=applies; else verdict=$(tested "$tests"); fi
    case $verdict in
    passes)
        verdict=SURVIVED
        survived=$((survived + 1))
        ;;
    fails) verdict=noticed ;;
    BROKEN)
        broken=$((broken + 1))
        grep -A 6 '^error' "$said" >&2 || true
        ;;
    esac
    printf '%-9s %s: %s -> %s\n' "$verdict" "$file" "$old" "$new"
    restore
done < <(sed "s/\\\\|/$bar/g" tests/mutation/changes.txt | sort -s -t'|' -k4,4)
[ -z "${DRY_RUN:-}" ] || { echo "all $tried changes apply" && exit; }
echo "$survived of $tried changes survived"
if [ "$broken" -gt 0 ]; then
    echo "$broken do not compile or run; mend changes.txt" >&2
    exit 2
fi
[ "$survived" = 0 ]
