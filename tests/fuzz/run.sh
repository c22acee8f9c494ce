#!/usr/bin/env bash
# Fuzzes each target, or those named, for SECONDS: tests/fuzz/run.sh SECONDS [TARGET...]
# An input that hangs, or needs more than 4 GiB, ends its process; it is noted, and the run goes on behind it.
# FUZZ_BINARY names tests that are built already. What is found stands in target/fuzz/log: the target, the number of the input, the place of the panic.
# target/fuzz/TARGET.next is the number of the next input.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=$1
shift
# Optimised, with the checks of a debug build.
binary=${FUZZ_BINARY:-$(cargo test --locked --profile fuzz --test fuzz --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\/fuzz-[^"]*\)".*/\1/p' | tail -1)}
export FUZZ_FOLDER=${FUZZ_FOLDER:-target/fuzz}
mkdir -p "$FUZZ_FOLDER"
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <("$binary" --ignored --nocapture names | sed -n 's/^target //p')
fi
ulimit -v 4194304

# One process of a target, with the environment given.
attempt() {
    env "$@" nice -n 15 "$binary" --ignored --exact long::for_as_long_as_one_likes --nocapture >"$FUZZ_FOLDER/out" 2>&1
}

for target in "${targets[@]}"; do
    end=$((SECONDS + seconds))
    while [ $SECONDS -lt $end ]; do
        attempt FUZZ_TARGET="$target" FUZZ_SECONDS=$((end - SECONDS)) && continue
        # Its last inputs again, each noted before it is tried.
        if ! attempt FUZZ_TARGET="$target" FUZZ_SECONDS=10 FUZZ_SINGLE=1; then
            number=$(($(cat "$FUZZ_FOLDER/$target.next") - 1))
            echo "$target $number ends the process: $(grep -v '^$' "$FUZZ_FOLDER/out" | tail -1)" >>"$FUZZ_FOLDER/log"
        fi
    done
done
cat "$FUZZ_FOLDER/log"
