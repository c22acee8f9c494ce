#!/usr/bin/env python3
"""Prints the software bill of materials of the program: every crate that is compiled into it, in CycloneDX 1.5.

    .ci/sbom.py > wavetank.cdx.json

The list is what `cargo metadata --locked` resolves for this platform, build scripts and their dependencies included,
dependencies of tests and benches not. The hashes are those of `Cargo.lock`. The same lock file gives the same bytes.
"""

import json
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def output_of(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def used(nodes, start):
    """The packages that a package needs to be built, in breadth-first order, with the direct ones of each."""
    needs, waiting = {}, [start]
    while waiting:
        package = waiting.pop()
        if package in needs:
            continue
        deps = nodes[package]["deps"]
        is_built = lambda dep: any(kind["kind"] in (None, "build") for kind in dep["dep_kinds"])
        needs[package] = sorted(dep["pkg"] for dep in deps if is_built(dep))
        waiting.extend(needs[package])
    return needs


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    one = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package["description"]:
        one["description"] = " ".join(package["description"].split())
    if package["license"]:
        # "MIT/Apache-2.0" is how cargo used to write "MIT OR Apache-2.0".
        one["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum := checksums.get((package["name"], package["version"])):
        one["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        one["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return one


def main():
    host = next(
        line.split()[1] for line in output_of("rustc", "-vV").splitlines() if line.startswith("host:")
    )
    metadata = json.loads(
        output_of("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", host)
    )
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(one["name"], one["version"]): one.get("checksum") for one in lock["package"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    needs = used(nodes, root)
    others = sorted((package for package in needs if package != root), key=lambda it: purl(packages[it]))
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {**component(packages[root], checksums), "type": "application"},
            "properties": [{"name": "platform", "value": host}],
        },
        "components": [component(packages[package], checksums) for package in others],
        "dependencies": [
            {"ref": purl(packages[package]), "dependsOn": [purl(packages[one]) for one in needs[package]]}
            for package in [root, *others]
        ],
    }
    json.dump(bill, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
