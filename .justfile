# Each recipe is plain cargo: a machine without just loses nothing.

# List the recipes.
default:
    @just --list

# All that a change must pass, as the continuous integration runs it.
check:
    .ci/run

# All tests.
test *arguments:
    cargo test {{ arguments }}

# Replay the recorded decisions of the real Kubernetes components.
golden:
    cargo test --test slow conform_

# Measure speed.
bench *arguments:
    cargo bench {{ arguments }}

# Run every scenario.
scenarios:
    cargo build --release
    for scenario in scenarios/*/scenario.yaml; do target/release/wavetank run "$scenario" || exit 1; done
