#!/usr/bin/env python3
"""Build the real servers that the tests and the recorder run, from the Go modules pinned here.

    build.py [--cache DIR] [--jobs N] [PROGRAM ...]

Each program is built into the cache (default ~/.cache/nodeport-rules/tools) unless what lies there
was built from the same go.mod and go.sum by the same Go. Prints one line a program: its path.
Needs the `go` command, and a module proxy the first time.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_CACHE = Path("~/.cache/nodeport-rules/tools").expanduser()


@dataclass(frozen=True)
class Program:
    """One program: the folder that pins it, its package, and the module whose version it has."""

    name: str
    folder: str
    package: str
    module: str
    stamps_version: bool = False


PROGRAMS = {
    p.name: p
    for p in (
        Program("etcd", "kubernetes", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        Program(
            "kube-apiserver",
            "kubernetes",
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes",
            stamps_version=True,
        ),
        Program(
            "kube-proxy",
            "kubernetes",
            "k8s.io/kubernetes/cmd/kube-proxy",
            "k8s.io/kubernetes",
            stamps_version=True,
        ),
    )
}


def pinned_version(program: Program) -> str:
    """The version that go.mod requires of the program's module."""
    text = (HERE / program.folder / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^\s*(?:require )?{re.escape(program.module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise SystemExit(f"build.py: {program.folder}/go.mod does not require {program.module}")
    return found.group(1)


def fingerprint(program: Program, go_version: str) -> str:
    """A hash of everything that the binary is made from."""
    digest = hashlib.sha256(f"{go_version}\n{program}\n".encode())
    for name in ("go.mod", "go.sum"):
        digest.update((HERE / program.folder / name).read_bytes())
    return digest.hexdigest()


def build(program: Program, cache: Path, jobs: int, go_version: str) -> Path:
    """Build one program unless the cache holds it already; return its path."""
    target, stamp = cache / program.name, cache / f"{program.name}.stamp"
    wanted = fingerprint(program, go_version)
    if target.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return target
    # kube-proxy and the API server report their version from here, and the API server derives
    # which API versions and feature gates are on from it: without it they think they are v0.0.0.
    flags = "-s -w"
    if program.stamps_version:
        version = pinned_version(program)
        for variable in ("component-base/version", "client-go/pkg/version"):
            flags += f" -X k8s.io/{variable}.gitVersion={version}"
        major, minor = version[1:].split(".")[:2]
        flags += f" -X k8s.io/component-base/version.gitMajor={major}"
        flags += f" -X k8s.io/component-base/version.gitMinor={minor}"
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f"{program.name}.partial"
    command = ["go", "build", f"-p={jobs}", "-trimpath", "-mod=readonly", "-ldflags", flags]
    subprocess.run(
        [*command, "-o", str(partial), program.package],
        cwd=HERE / program.folder,
        env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
        check=True,
    )
    stamp.unlink(missing_ok=True)
    partial.replace(target)
    stamp.write_text(wanted, encoding="utf-8")
    return target


def main() -> int:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=", ".join(PROGRAMS))
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="go build -p")
    options = parser.parse_args()
    unknown = [name for name in options.programs if name not in PROGRAMS]
    if unknown:
        parser.error(f"no such program: {', '.join(unknown)}")
    try:
        go_version = subprocess.run(
            ["go", "env", "GOVERSION"], cwd=HERE, check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in options.programs or PROGRAMS:
            print(build(PROGRAMS[name], options.cache, options.jobs, go_version), flush=True)
    except FileNotFoundError:
        print("build.py: the `go` command is not installed", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"build.py: {' '.join(error.cmd[:2])} failed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
