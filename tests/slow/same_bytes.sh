#!/usr/bin/env bash
# Holds that every scenario gives the same bytes from every build of the program, with one thread and with two:
# tests/slow/same_bytes.sh FIRST_SEED LAST_SEED PROGRAM [PROGRAM...]
# Prints each difference and, at the end, how many runs were compared. SCENARIOS='a b' takes only these.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

first=$1
last=$2
shift 2
scenarios=${SCENARIOS:-$(grep -ls '^kind: Scenario$' scenarios/*/*.yaml)}
compared=0
differ=0
for ((seed = first; seed <= last; seed++)); do
    for scenario in $scenarios; do
        said=
        for program in "$@"; do
            # What a sweep computes in parallel is the same with any number of threads: two seeds of a check.
            for threads in 1 2; do
                # Objectives may be missed: exit code 1.
                run=$("$program" run "$scenario" --seed "$seed" -o json 2>&1 | sha256sum)
                check=$(RAYON_NUM_THREADS=$threads "$program" check "$scenario" --seed "$seed" --seeds 2 -o json 2>&1 | sha256sum)
                compared=$((compared + 1))
                if [ -z "$said" ]; then
                    said="$run$check"
                elif [ "$said" != "$run$check" ]; then
                    echo "$scenario with seed $seed differs: $program, $threads threads"
                    differ=$((differ + 1))
                fi
            done
        done
    done
done
echo "$compared runs compared, $differ differ"
[ "$differ" = 0 ]
