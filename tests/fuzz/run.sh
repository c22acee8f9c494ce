#!/usr/bin/env bash
# Fuzzes each target, or those named, for SECONDS: tests/fuzz/run.sh SECONDS [TARGET...]
# An input that hangs, or needs more than 4 GiB, ends its process; it is noted, and the run goes on behind it.
# FUZZ_BINARY names tests that are built already. What is found stands in target/fuzz/log: the target, the number of the input, the place of the panic.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=$1
shift
binary=${FUZZ_BINARY:-$(cargo test --locked --test fuzz --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\/fuzz-[^"]*\)".*/\1/p' | tail -1)}
mkdir -p target/fuzz
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(FUZZ_LIST=1 "$binary" --ignored --nocapture names | sed -n 's/^target //p')
fi
ulimit -v 4194304
for target in "${targets[@]}"; do
    end=$((SECONDS + seconds))
    while [ $SECONDS -lt $end ]; do
        if ! FUZZ_SECONDS=$((end - SECONDS)) FUZZ_TARGET=$target nice -n 15 "$binary" \
            --ignored --exact long::for_as_long_as_one_likes --nocapture >target/fuzz/out 2>&1; then
            number=$(($(sed 's/^0*//' "target/fuzz/$target.next") - 1))
            echo "$target $number ends the process: $(grep -v '^$' target/fuzz/out | tail -1)" >>target/fuzz/log
        fi
    done
done
cat target/fuzz/log
