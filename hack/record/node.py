"""A node made of a network namespace, a real kube-proxy on it, and the rules it wrote."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cluster import ADDRESS, PORT, TOKEN
from processes import RecordError, Server, run

#: The addresses of the host's eth0 unless a state's host.yaml says otherwise.
HOST_ADDRESSES = ("192.168.1.100/24", "2001:db8:1::100/64")
NAMESPACE = "node"
_METRICS_PORT = 10249
_KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "recorder",
    "contexts": [{"name": "recorder", "context": {"cluster": "recorder", "user": "recorder"}}],
    "clusters": [
        {
            "name": "recorder",
            "cluster": {"server": f"https://{ADDRESS}:{PORT}", "insecure-skip-tls-verify": True},
        }
    ],
    "users": [{"name": "recorder", "user": {"token": TOKEN}}],
}


def prepare_host() -> None:
    """Make this network namespace the one in which the API server runs."""
    run(["ip", "link", "set", "lo", "up"])


@contextmanager
def host(addresses: tuple[str, ...], link_local: bool = True) -> Iterator[None]:
    """A fresh network namespace with eth0, from which the API server can be reached.

    eth0 has these addresses, and with `link_local` the IPv6 one that the kernel gives it.
    """
    inside = ["ip", "-n", NAMESPACE]
    run(["ip", "netns", "add", NAMESPACE])
    try:
        # Addresses are usable at once (no duplicate detection) and the link-local one is fixed.
        pair = "link add api0 type veth peer name eth0 address 02:00:00:00:01:00 netns"
        run(["ip", *pair.split(), NAMESPACE])
        run(["ip", "netns", "exec", NAMESPACE, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0"])
        run(["ip", "addr", "add", f"{ADDRESS}/24", "dev", "api0"])
        run(["ip", "link", "set", "api0", "up"])
        run([*inside, "link", "set", "lo", "up"])
        if not link_local:
            run([*inside, "link", "set", "eth0", "addrgenmode", "none"])
        for address in addresses:
            run([*inside, "addr", "add", address, "dev", "eth0", *_nodad(address)])
        run([*inside, "link", "set", "eth0", "up"])
        yield
    finally:
        run(["ip", "link", "del", "api0"])
        run(["ip", "netns", "del", NAMESPACE])


def _nodad(address: str) -> list[str]:
    return ["nodad"] if ":" in address else []


def record(tools: Path, config: dict[str, Any], scratch: Path, seconds: float) -> tuple[str, str]:
    """Run kube-proxy until it has synced; return iptables-save and ip6tables-save of its node."""
    kubeconfig, effective = scratch / "kubeconfig.yaml", scratch / "config.yaml"
    kubeconfig.write_text(yaml.safe_dump(_KUBECONFIG), encoding="utf-8")
    # Where kube-proxy finds the API server and where it is asked for its metrics; no rule depends
    # on either.
    added = {
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "metricsBindAddress": f"{HOST_ADDRESSES[0].split('/')[0]}:{_METRICS_PORT}",
    }
    effective.write_text(yaml.safe_dump({**config, **added}), encoding="utf-8")
    inside = ["ip", "netns", "exec", NAMESPACE]
    command = [*inside, str(tools / "kube-proxy"), f"--config={effective}", "-v=2"]
    with Server("kube-proxy", command, scratch / "kube-proxy.log") as proxy:
        proxy.wait_until(_synced, "it had written its rules", seconds)
        previous: tuple[str, str] | None = None
        for _ in range(20):
            # A node's labels reach kube-proxy on a watch of their own, and a change waits up to
            # minSyncPeriod (1 s): what stays the same for longer than that is final.
            time.sleep(1.3)
            v4, v6 = (tidy(run([*inside, f"{tool}-save"])) for tool in ("iptables", "ip6tables"))
            if (v4, v6) == previous and _synced():
                return v4, v6
            previous = v4, v6
        raise RecordError(f"kube-proxy did not come to rest:\n{proxy.tail()}")


def _synced() -> bool:
    """Whether each family has been synced since the last change that kube-proxy heard of."""
    address = HOST_ADDRESSES[0].split("/")[0]
    try:
        with urllib.request.urlopen(f"http://{address}:{_METRICS_PORT}/metrics", timeout=5) as page:
            text = page.read().decode()
    except (urllib.error.URLError, OSError):
        return False
    times: dict[str, dict[str, float]] = {}
    pattern = r"^kubeproxy_sync_proxy_rules_(last\w*_timestamp_seconds)(\{[^}]*\})? (\S+)$"
    for name, labels, value in re.findall(pattern, text, re.MULTILINE):
        times.setdefault(labels, {})[name] = float(value)
    return bool(times) and all(
        0 < t.get("last_timestamp_seconds", 0) >= t.get("last_queued_timestamp_seconds", 0)
        for t in times.values()
    )


def tidy(dump: str) -> str:
    """A dump without its comments and with all counters 0, so that two runs can be compared."""
    lines = (line for line in dump.splitlines() if line and not line.startswith("#"))
    return "".join(re.sub(r"^(:.*) \[\d+:\d+\]$", r"\1 [0:0]", line) + "\n" for line in lines)
