#!/usr/bin/env bash
# SimPy and Ciw beside wavetank, on the same million requests (Ciw: the same kind of service, 200,000
# requests). Needs Python with `pip install simpy ciw`. Figures are in docs/speed-requests.md.
set -eu
python3 -c 'import simpy, ciw' 2> /dev/null || {
  echo 'error: python3 finds no simpy or no ciw; pip install simpy ciw, in a virtual environment if need be' >&2
  exit 1
}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 benches/peers/gen_requests.py "$work/requests.csv"
python3 benches/peers/simpy_hpa.py "$work/requests.csv"
python3 benches/peers/ciw_mmc.py 200000
cargo bench --quiet --bench million_requests
