"""`nodeport-rules demo`, as users run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import nodeport_rules

PACKAGE = Path(nodeport_rules.__file__).parent.parent
COMMAND = (sys.executable, "-m", "nodeport_rules")

NOBODY = "65534"

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web, ports: [{containerPort: 8080}]}]}
"""


def run_demo(
    *arguments: str,
    command: Sequence[str] = COMMAND,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [*command, "demo", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(environment or {})},
    )


def services(spec: dict[str, object], *ports: dict[str, object], name: str = "web") -> str:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": ports, **spec},
    }
    return f"{json.dumps(service)}\n---\n{DEPLOYMENT}"


def check_example(done: subprocess.CompletedProcess[str]) -> None:
    """What the example shows, whoever runs it."""
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("once more, all pods on node-1")
    for run in (first, second):
        chains = re.findall(r"^  (KUBE-[A-Z]+)\S*  +", run, re.MULTILINE)
        assert list(dict.fromkeys(chains)) == [
            "KUBE-SERVICES",
            "KUBE-NODEPORTS",
            "KUBE-EXT",
            "KUBE-SVC",
            "KUBE-SEP",
        ], run
        rows = re.findall(
            r"^  pod-\d +\S+ on (node-\d) +(\d+) +33\.3% +\d+\.\d%", run, re.MULTILINE
        )
        assert len(rows) == 3, run
        assert sum(int(connections) for _, connections in rows) == 300
        assert "192.168.1.1 (node-1: masqueraded) 150 times" in run
        assert "192.168.1.2 (node-2: masqueraded) 150 times" in run
    assert " on node-2 " in first
    assert " on node-2 " not in second


def test_the_example() -> None:
    check_example(run_demo("--connections", "300"))


def as_an_ordinary_user() -> list[str]:
    """What runs a command as somebody without rights; nothing where the suite itself is run so
    (it is then root in a user namespace that knows no other user)."""
    known_users = int(Path("/proc/self/uid_map").read_text().split()[2])
    if known_users <= int(NOBODY):
        return []
    return ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]


def test_the_example_as_an_ordinary_user(installed_command: Path) -> None:
    """From an installation that everybody may read, with the short PATH of an ordinary user."""
    done = run_demo(
        "--connections",
        "300",
        command=[*as_an_ordinary_user(), str(installed_command)],
        environment={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": ""},
    )
    check_example(done)


def test_local_policy_udp_sctp_and_affinity() -> None:
    local = services(
        {"externalTrafficPolicy": "Local"},
        {"name": "tcp", "port": 80, "targetPort": 8080, "nodePort": 30010},
        {"name": "udp", "port": 80, "protocol": "UDP", "nodePort": 30010},
        {"name": "sctp", "port": 80, "protocol": "SCTP", "nodePort": 30010},
    )
    sticky = services(
        {"sessionAffinity": "ClientIP"}, {"port": 80, "nodePort": 30011}, name="sticky"
    ).partition("---")[0]
    done = run_demo("-f", "-", "--connections", "300", stdin=f"{sticky}---\n{local}")
    assert done.returncode == 0, done.stderr
    for protocol in ("tcp", "udp", "sctp"):
        title = rf"default/web:{protocol}: {protocol} node port 30010 "
        assert len(re.findall(title, done.stdout)) == 2, done.stdout
    assert done.stdout.count("192.0.2.10 (the client's own) 300 times") == 3
    assert done.stdout.count("node-2: dropped, as it should be") == 3
    assert "all or nothing" in done.stdout


def test_ipv6() -> None:
    manifest = services({"ipFamilies": ["IPv6"]}, {"port": 80, "nodePort": 30010})
    done = run_demo("-f", "-", "--connections", "60", "--family", "ipv6", stdin=manifest)
    assert done.returncode == 0, done.stderr
    assert "2001:db8:1::1 (node-1: masqueraded) 30 times" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "manifest", "message"),
    [
        (["--connections", "0"], "", "--connections 0: give 1 to 1,000,000"),
        (["--family", "dual"], "", "--family 'dual': it is ipv4 or ipv6"),
        (
            ["-f", "-"],
            services({"type": "ClusterIP"}, {"port": 80}),
            "none of these Services has an IPv4 node port",
        ),
        (
            ["-f", "-"],
            services({}, {"port": 80}) + "---\n{apiVersion: v1, kind: Node, metadata: {name: a}}\n",
            "Node a has no IPv4 address of type InternalIP",
        ),
        (["-f", "/nowhere/web.yaml"], "", "/nowhere/web.yaml"),
    ],
)
def test_what_cannot_be_tried_is_said(arguments: list[str], manifest: str, message: str) -> None:
    done = run_demo(*arguments, stdin=manifest)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, done.stdout, len(errors)) == (2, "", 1), done.stderr
    assert message in errors[0]


def test_a_missing_tool_is_one_line() -> None:
    """`ip` is looked for first; a PATH that replaces the system's directories has none."""
    hide = (
        "import sys, nodeport_rules.kernel.processes as p;"
        "p.SYSTEM_DIRECTORIES = ();"
        "sys.argv[0] = 'nodeport-rules';"
        "from nodeport_rules.cli.main import main; main()"
    )
    done = run_demo(command=[sys.executable, "-c", hide], environment={"PATH": "/nowhere"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: the program ip is not on this machine; install it (Debian: apt install iproute2)\n"
    )


NO_USER_NAMESPACES = """
import os, sys
from pathlib import Path
Path("/proc/sys/user/max_user_namespaces").write_text("0")
os.execvp("setpriv", ["setpriv", "--bounding-set", "-sys_admin", *sys.argv[1:]])
"""
"""Run inside a user namespace of its own: from here on no further one can be made, and the right to
make network namespaces is gone."""


def test_a_host_without_user_namespaces_is_one_line() -> None:
    outer = ["unshare", "--user", "--map-root-user", sys.executable, "-c", NO_USER_NAMESPACES]
    done = run_demo(command=[*outer, *COMMAND])
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("assumed: ")]
    assert line.startswith("error: not root, and this host does not let ordinary users make user")
    assert "run as root, or allow them: sysctl user.max_user_namespaces above 0" in line
