#!/usr/bin/env python3
"""Record what a real kube-proxy writes into the kernel for given cluster states.

    record.py --states DIR --out DIR [NAME ...]

Every folder of --states (or only those named) holds objects.json, a v1 List with a Node, Services
and EndpointSlices, and config.iptables.yaml, a KubeProxyConfiguration; host.yaml, if there is one,
lists all addresses of the host's eth0. The same folder under --out then holds those files, the
objects as the API server returned them, and iptables.save and ip6tables.save.

Everything runs in network, mount and process namespaces of its own and ends with this program.
Without root it runs in a user namespace, where iptables-restore takes no more than a few hundred
rules at once. The servers are those that hack/tools/build.py builds.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import cluster
import node
import yaml
from processes import RecordError, run

DEFAULT_TOOLS = Path("~/.cache/nodeport-rules/tools").expanduser()


def enter_namespaces() -> None:
    """Start this program again inside namespaces of its own; does not return."""
    flags = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        flags = ["--user", "--map-root-user", *flags]
    again = [sys.executable, str(Path(__file__).resolve()), "--inside", *sys.argv[1:]]
    os.execvp("unshare", ["unshare", *flags, *again])


def record_state(api: cluster.Api, source: Path, target: Path, options: argparse.Namespace) -> None:
    """Record one folder."""
    config_text = (source / "config.iptables.yaml").read_text(encoding="utf-8")
    objects = json.loads((source / "objects.json").read_text(encoding="utf-8"))
    host_file = source / "host.yaml"
    addresses = node.HOST_ADDRESSES
    if host_file.exists():
        addresses = tuple(yaml.safe_load(host_file.read_text(encoding="utf-8"))["addresses"])
    api.load(objects["items"])
    with tempfile.TemporaryDirectory() as scratch, node.host(addresses, not host_file.exists()):
        try:
            v4, v6 = node.record(
                options.tools, yaml.safe_load(config_text), Path(scratch), options.timeout
            )
        finally:
            if options.logs:
                options.logs.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(scratch) / "kube-proxy.log", options.logs / f"{source.name}.log")
    state = json.dumps(api.dump(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.iptables.yaml").write_text(config_text, encoding="utf-8")
    (target / "objects.json").write_text(state, encoding="utf-8")
    (target / "iptables.save").write_text(v4, encoding="utf-8")
    (target / "ip6tables.save").write_text(v6, encoding="utf-8")
    if host_file.exists() and host_file.resolve() != (target / "host.yaml").resolve():
        shutil.copyfile(host_file, target / "host.yaml")


def record_all(options: argparse.Namespace) -> int:
    """Record every folder asked for; the number of those that could not be recorded."""
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        # A place of our own for the iptables lock and for `ip netns`: the host's is not touched.
        run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
        node.prepare_host()
        with cluster.running(options.tools, Path(scratch)) as api:
            for source in folders(options):
                start = time.monotonic()
                try:
                    record_state(api, source, options.out / source.name, options)
                except RecordError as error:
                    failed += 1
                    print(f"{source.name}: {error}", file=sys.stderr, flush=True)
                else:
                    took = time.monotonic() - start
                    print(f"{source.name}: recorded in {took:.1f} s", flush=True)
    return failed


def folders(options: argparse.Namespace) -> list[Path]:
    """The state folders to record, in the order of their names."""
    present = sorted(p.parent for p in options.states.glob("*/objects.json"))
    if not options.names:
        return present
    missing = set(options.names) - {p.name for p in present}
    if missing:
        raise RecordError(f"no such state: {', '.join(sorted(missing))}")
    return [p for p in present if p.name in options.names]


def main() -> int:
    """Read the command line and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="record only these folders")
    parser.add_argument("--states", type=Path, required=True, help="folder of state folders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the recordings")
    parser.add_argument("--tools", type=Path, default=DEFAULT_TOOLS, help="where the servers lie")
    parser.add_argument("--logs", type=Path, help="keep each kube-proxy's log in this folder")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for kube-proxy to sync")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        enter_namespaces()
    try:
        return 1 if record_all(options) else 0
    except RecordError as error:
        print(f"record.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
