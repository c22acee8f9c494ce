#!/usr/bin/env python3
"""Holds `wavetank size` against an exhaustive grid, scenario by scenario, and prints the table of docs/size.md.

Both may set the same values of the same settings. The grid runs its rows with one seed and confirms the cheapest ones
with 20 fresh seeds until one holds; the setting that `size` takes is looked up in it, and then run with 100 seeds that
neither has used. What is done is kept in the folder OUT and not done again.

Rows with the same nodes make a part of the grid, and no row of a part costs less than the one with the leanest of all
other settings; of nodes that an autoscaler adds that is assumed. The parts are run from the cheapest on, until that
row of the next one costs more than a confirmed one: what is left cannot be the cheapest. `--whole` runs all rows.

    benches/size_against_grid.py target/release/wavetank OUT [SCENARIO...] [--steps grid,size,check] [--whole]
"""

import argparse
import csv
import itertools
import json
import math
import pathlib
import subprocess
import sys
import tempfile

SCENARIOS = pathlib.Path(__file__).resolve().parent.parent / "scenarios"
FRESH_SEEDS = 20
UNUSED_SEEDS = 100
FIRST_UNUSED = 100_001

M5 = ["m5.large", "m5.xlarge", "m5.2xlarge", "m5.4xlarge", "m5.8xlarge"]


def span(first, last, step=1):
    return list(range(first, last + 1, step))


def nodes(pool, counts, types=M5):
    at = f"cluster.nodePools[{pool}]"
    return [(f"{at}.count", counts), (f"{at}.instanceType", [f"aws/{one}" for one in types])]


def replicas(workload, counts):
    return [(f"manifests.{workload}.spec.replicas", counts)]


def hpa(name, least, targets):
    spec = f"manifests.HorizontalPodAutoscaler/{name}.spec"
    target = f"{spec}.metrics[0].resource.target.averageUtilization"
    return [(f"{spec}.minReplicas", least), (target, targets)]


def autoscaled(least_nodes, least_pods):
    pool = "cluster.nodePools[general]"
    return (
        [(f"{pool}.count.min", least_nodes), (f"{pool}.instanceType", [f"aws/{one}" for one in M5])]
        + hpa("shop/web", least_pods, TARGETS)
    )


TARGETS = [90, 80, 70, 60, 50, 40, 30]
STABILIZATION = [("manifests.HorizontalPodAutoscaler/shop/web.spec.behavior.scaleDown.stabilizationWindowSeconds", [0, 60, 120, 300, 600])]
WEB = "Deployment/shop/web"

# File, and what may be set, the leanest value first: at least 2,000 settings each. Of scenarios with a mistake that no
# size mends it is `mended.yaml`. Runs of the first group take 0.03 to 0.05 seconds, those of the second 0.07 to 0.3.
GRIDS = {
    "ai-agent/scenario.yaml": nodes("general", span(2, 7)) + hpa("ai-agents/ai-agent", span(1, 10), TARGETS),
    "gpu-warm-pool/scenario.yaml": nodes("system", span(1, 13), M5[:4]) + replicas("Deployment/chat/llm", span(1, 10))
    + [("cluster.nodePools[gpu].count.min", span(0, 3))],
    "llm-serving/scenario.yaml": nodes("gpu", span(2, 13), ["g6.xlarge", "g6.2xlarge", "g6.4xlarge", "g6.12xlarge", "g6.48xlarge"])
    + replicas("Deployment/chat/llm", span(1, 34)),
    "zero-downtime-rollout/mended.yaml": nodes("general", span(1, 10)) + replicas(WEB, span(1, 40)),
    "drain-without-budget/mended.yaml": nodes("general", span(1, 10)) + replicas(WEB, span(1, 40)),
    "no-probes/mended.yaml": nodes("general", span(1, 10)) + replicas(WEB, span(1, 40)),
    "noisy-neighbour/scenario.yaml": nodes("general", span(1, 8)) + replicas(WEB, span(1, 10)) + replicas("Deployment/shop/report", span(1, 5)),
    "retry-storm/mended.yaml": nodes("general", span(1, 10)) + replicas(WEB, span(1, 40)),
    "slow-checkout/scenario.yaml": nodes("general", span(1, 4)) + replicas(WEB, span(1, 10)) + replicas("Deployment/shop/payment", span(1, 10)),
    "no-memory-limit/mended.yaml": nodes("general", span(1, 4)) + replicas(WEB, span(1, 10)) + replicas("Deployment/shop/thumbnails", span(1, 10)),
    "blue-green/mended.yaml": nodes("general", span(1, 10)) + replicas("Deployment/shop/web-blue", span(1, 40)),
    "canary/mended.yaml": nodes("general", span(1, 10)) + replicas("Deployment/shop/web-stable", span(1, 40)),
    "canary-steps/mended.yaml": nodes("general", span(1, 10)) + replicas("Rollout/shop/web", span(1, 40)),
    "gpu-pool/scenario.yaml": [("cluster.nodePools[gpu].count", span(1, 8))] + replicas("Deployment/inference/embedder", span(1, 16))
    + replicas("Deployment/inference/chat-small", span(1, 16)),
    "quota-refusal/mended.yaml": nodes("general", span(1, 6)) + hpa("shop/web", span(1, 10), TARGETS),
    "stuck-rollout/mended.yaml": nodes("general", span(1, 10)) + replicas(WEB, span(1, 40)),
    "no-autoscaling/mended.yaml": nodes("general", span(1, 6)) + hpa("shop/web", span(1, 10), TARGETS),
    "statefulset-start/mended.yaml": nodes("data", span(1, 10)) + replicas("StatefulSet/data/store", span(1, 40)),
    "self-healing/mended.yaml": nodes("general", span(1, 10)) + replicas(WEB, span(1, 40)),
    # The timeline takes the fifth node away.
    "zonal-volumes/mended.yaml": nodes("data", span(5, 14)) + replicas("StatefulSet/data/store", span(1, 40)),
    "cronjob-pile-up/mended.yaml": nodes("general", span(1, 10)) + replicas("Deployment/reports/web", span(1, 40)),
    "node-burst/scenario.yaml": autoscaled(span(1, 4), span(2, 16)),
    "blocked-scale-down/mended.yaml": autoscaled(span(1, 4), span(2, 16)),
    "zone-outage-peak/scenario.yaml": autoscaled(span(1, 4), span(2, 16)),
    "node-burst-karpenter/scenario.yaml": hpa("shop/web", span(1, 60), TARGETS) + STABILIZATION,
    "consolidation-budgets/mended.yaml": hpa("shop/web", span(1, 60), TARGETS) + STABILIZATION,
    "spot-fallback/scenario.yaml": nodes("base", span(1, 6)) + hpa("shop/web", span(2, 20, 2), TARGETS),
    "queue-jobs/mended.yaml": nodes("general", span(1, 10))
    + [("manifests.ScaledJob/media/transcode.spec.maxReplicaCount", span(1, 40))],
    "shop/scenario.yaml": nodes("general", span(2, 8), M5[:3]) + replicas("Deployment/shop/inventory", span(1, 5))
    + replicas("Deployment/shop/pricing", span(1, 5)) + hpa("shop/catalog", span(1, 2), TARGETS[1:6:2]),
    "match-day/scenario.yaml": nodes("general", span(1, 6)) + hpa("france98/website", span(1, 10), TARGETS),
}


class Failed(Exception):
    """A command that found its input wrong."""


def run(wavetank, arguments):
    done = subprocess.run([wavetank, *arguments], capture_output=True, text=True, cwd=SCENARIOS)
    if done.returncode not in (0, 1):
        raise Failed(f"{' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


def kept(path, make):
    if not path.exists():
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


def values(knobs):
    return [f"{path}={','.join(map(str, levels))}" for path, levels in knobs]


def sweep(wavetank, file, knobs, rows, confirm):
    """The rows of a sweep over these values of the settings, and the number of its runs."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="") as table:
        csv.writer(table).writerows([[path for path, _ in knobs], *rows])
        table.flush()
        done = run(wavetank, ["sweep", file, "--table", table.name, "--confirm", str(confirm), "-o", "json"])
    confirmed = sum("confirmation" in row for row in done["rows"])
    rows = [
        {"values": row["values"], "cost": row["cost_per_month_usd"], "is_cheapest": row["is_cheapest"]}
        for row in done["rows"]
    ]
    return rows, len(rows) + confirmed * confirm


def parts(knobs, rows):
    """Rows with the same nodes, the leanest of all other settings first."""
    of_nodes = [place for place, (path, _) in enumerate(knobs) if path.startswith("cluster.")]
    found = {}
    for row in rows:
        found.setdefault(tuple(row[place] for place in of_nodes), []).append(row)
    return list(found.values())


def grid(wavetank, file, knobs, whole):
    rows = [list(map(str, row)) for row in itertools.product(*(levels for _, levels in knobs))]
    size = len(rows)
    if whole:
        rows, runs = sweep(wavetank, file, knobs, rows, FRESH_SEEDS)
        return {"size": size, "rows": rows, "runs": runs}
    all_parts = parts(knobs, rows)
    leanest, runs = sweep(wavetank, file, knobs, [part[0] for part in all_parts], 0)
    # What the scenario cannot have is left out of a sweep.
    costs = {tuple(row["values"]): row["cost"] for row in leanest}
    least = lambda part: costs.get(tuple(part[0]), 0.0)
    done, best = [], float("inf")
    for part in sorted(all_parts, key=least):
        if least(part) > best:
            break
        found, more = sweep(wavetank, file, knobs, part, FRESH_SEEDS)
        if min(one["cost"] for one in found) < least(part):
            raise Failed(f"{file}: a row costs less than the leanest one of its nodes, {part[0]}; run the grid --whole")
        done, runs = done + found, runs + more
        best = min([best, *(one["cost"] for one in found if one["is_cheapest"])])
    return {"size": size, "rows": done, "runs": runs}


def size(wavetank, file, knobs):
    tune = itertools.chain.from_iterable(["--tune", one] for one in values(knobs))
    answer = run(wavetank, ["size", file, *tune, "-o", "json"])
    kept = {key: answer[key] for key in ("found", "changes", "effort", "confidence")}
    return {**kept, "cost": (answer["after"] or {}).get("cost_per_month_usd")}


def settings(changes):
    return list(itertools.chain.from_iterable(["--set", f"{one['path']}={one['to']}"] for one in changes))


def check(wavetank, file, changes):
    seeds = ["--seeds", str(UNUSED_SEEDS), "--seed", str(FIRST_UNUSED)]
    return run(wavetank, ["check", file, *settings(changes), *seeds, "-o", "json"])


def held(answer):
    """How many seeds met every objective."""
    return sum(all(one["met"] for one in each["objectives"]) for each in answer["scenarios"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wavetank", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--steps", default="grid,size,check")
    parser.add_argument("--whole", action="store_true")
    arguments = parser.parse_args()
    wavetank, steps = str(arguments.wavetank.resolve()), arguments.steps.split(",")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for file, knobs in GRIDS.items():
        name = file.split("/")[0]
        if arguments.scenarios and name not in arguments.scenarios:
            continue
        at = lambda step: arguments.out / f"{name}.{step}.json"
        try:
            if "grid" in steps:
                kept(at("grid"), lambda: grid(wavetank, file, knobs, arguments.whole))
            if "size" in steps:
                kept(at("size"), lambda: size(wavetank, file, knobs))
        except Failed as failed:
            print(failed, file=sys.stderr)
            continue
        if at("size").exists():
            print("| " + " | ".join(line(wavetank, file, knobs, at, "check" in steps)) + " |", flush=True)


def line(wavetank, file, knobs, at, is_checked):
    """A line of the table."""
    found = kept(at("size"), dict)
    size = math.prod(len(levels) for _, levels in knobs)
    best, rows_run, rows = None, "none", []
    if at("grid").exists():
        whole = kept(at("grid"), dict)
        rows, rows_run = whole["rows"], str(len(whole["rows"]))
        best = min((row["cost"] for row in rows if row["is_cheapest"]), default=None)
    cells = [file, str(size), rows_run, f"${best:.2f}" if best else "none holds" if rows else ""]
    cost = found.get("cost")
    if found["found"]:
        cells.append(f"${cost:.2f}" + (f" ({(cost / best - 1) * 100:+.1f} %)" if best else ""))
    else:
        cells.append("none holds")
    effort = found["effort"]
    # All runs of a scenario take the same simulated time, so that this is the share of it, too.
    cells += [str(effort["runs"]), f"{effort['runs'] / size * 100:.1f} %"]
    is_checked = is_checked and found["found"]
    cells.append(str(held(kept(at("check"), lambda: check(wavetank, file, found["changes"])))) if is_checked else "")
    return cells


if __name__ == "__main__":
    main()
