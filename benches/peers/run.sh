#!/usr/bin/env bash
# SimPy and Ciw beside wavetank, on the same million requests (Ciw: the same kind of service, 200,000
# requests). Needs Python with `pip install simpy ciw`. Figures are in docs/latency.md.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 benches/peers/gen_requests.py "$work/requests.csv"
python3 benches/peers/simpy_hpa.py "$work/requests.csv"
python3 benches/peers/ciw_mmc.py 200000
cargo bench --quiet --bench million_requests
