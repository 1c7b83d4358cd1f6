"""Whose rules are made: `--node`, `--all-nodes`, `hostnameOverride`, the only Node, or node-1."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import run
from tests.unit.cli.objects import (
    TWO_NODES,
    Object,
    endpoint_slice,
    node,
    node_port_service,
    rules_with,
    service,
    write,
)

LOCAL = [
    node_port_service(externalTrafficPolicy="Local"),
    endpoint_slice("web", (("10.244.1.5", "node-1"), ("10.244.1.6", "node-1"))),
]
"""A Service whose rules differ from node to node: node-2 has none of its endpoints."""

CONFIGURATION = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
"""


def configuration(tmp_path: Path, text: str) -> tuple[str, str]:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIGURATION + text)
    return "--config", str(path)


def serves_locally(text: str) -> bool:
    return bool(rules_with(text, "-j KUBE-SVL-"))


@pytest.mark.parametrize(
    ("nodes", "arguments", "override", "local"),
    [
        (TWO_NODES, ("--node", "node-1"), "", True),
        (TWO_NODES, ("--node", "node-2"), "", False),
        (TWO_NODES, ("--node", " NODE-1 "), "", True),
        (TWO_NODES, ("--node", "node-1", "--node", "node-1"), "", True),
        (TWO_NODES[:1], (), "", True),
        (TWO_NODES[1:], (), "", False),
        (TWO_NODES, (), "node-1", True),
        (TWO_NODES, (), "Node-2", False),
        (TWO_NODES, ("--node", "node-1"), "node-2", True),
        ([], (), "", True),
        ([], (), "node-2", False),
        ([], ("--node", "node-2"), "", False),
    ],
)
def test_the_node_is_the_flag_the_override_the_only_one_or_an_assumed_one(
    tmp_path: Path, nodes: list[Object], arguments: tuple[str, ...], override: str, local: bool
) -> None:
    objects = write(tmp_path, *LOCAL, *nodes)
    config = configuration(tmp_path, f"hostnameOverride: {override}\n" if override else "")
    finished = run("render", "-f", objects, *arguments, *config).expect(0)
    assert serves_locally(finished.stdout) is local
    chosen = bool(nodes or arguments or override)
    assert finished.said("assumed") == (
        [] if chosen else ["node node-1: there is no Node among the objects and no --node"]
    )


def test_a_node_that_is_not_among_the_objects_is_compiled_with_a_warning(tmp_path: Path) -> None:
    objects = write(tmp_path, *LOCAL, *TWO_NODES)
    finished = run("render", "-f", objects, "--node", "node-3").expect(0)
    (warning,) = finished.said("warning")
    assert warning.startswith("node node-3: no such Node among the objects")
    assert not serves_locally(finished.stdout)


def test_all_nodes_write_a_file_for_each_node_and_family(tmp_path: Path) -> None:
    objects = write(tmp_path, *LOCAL, *TWO_NODES)
    folder = tmp_path / "deeper" / "rules"
    finished = run("render", "-f", objects, "--all-nodes", "-o", str(folder)).expect(0)
    assert finished.stdout == ""
    assert finished.said("note") == [f"wrote 4 files to {folder}"]
    files = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(files) == {
        f"{name}.{program}.rules"
        for name in ("node-1", "node-2")
        for program in ("iptables", "ip6tables")
    }
    assert serves_locally(files["node-1.iptables.rules"])
    assert not serves_locally(files["node-2.iptables.rules"])
    assert rules_with(files["node-2.iptables.rules"], "default/web has no local endpoints")
    for name in ("node-1", "node-2"):
        for family, program in (("ipv4", "iptables"), ("ipv6", "ip6tables")):
            alone = run("render", "-f", objects, "--node", name, "--family", family).expect(0)
            assert files[f"{name}.{program}.rules"] == alone.stdout


def test_files_of_an_earlier_run_are_replaced_and_others_stay(tmp_path: Path) -> None:
    objects = write(tmp_path, *LOCAL)
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "node-1.iptables.rules").write_text("old")
    (folder / "notes.txt").write_text("mine")
    run("render", "-f", objects, "-o", str(folder), "--family", "ipv4").expect(0)
    assert (folder / "node-1.iptables.rules").read_text().startswith("*filter\n")
    assert {path.name for path in folder.iterdir()} == {"node-1.iptables.rules", "notes.txt"}


def test_faults_leave_the_folder_unwritten(tmp_path: Path) -> None:
    objects = write(tmp_path, service(ports=[{"port": 0}]))
    run("render", "-f", objects, "-o", str(tmp_path / "rules")).expect(2)
    assert not (tmp_path / "rules").exists()


POD_CIDR = ("-s 10.244.1.0/24", "-j KUBE-MARK-MASQ", "cluster IP")


@pytest.mark.parametrize("by_flag", [True, False])
def test_node_cidr_is_the_nodes_own_podcidr(tmp_path: Path, by_flag: bool) -> None:
    objects = write(tmp_path, *LOCAL, *TWO_NODES)
    how = (
        ("--detect-local-mode", "NodeCIDR")
        if by_flag
        else configuration(tmp_path, "detectLocalMode: NodeCIDR\n")
    )
    with_cidr = run("render", "-f", objects, "--node", "node-1", *how).expect(0)
    assert rules_with(with_cidr.stdout, *POD_CIDR)
    without = run("render", "-f", objects, "--node", "node-2", *how).expect(0)
    assert not rules_with(without.stdout, "cluster IP", "-j KUBE-MARK-MASQ")


NODE_PORTS = "-j KUBE-NODEPORTS"


@pytest.mark.parametrize(
    ("addresses", "more", "wanted"),
    [
        ((), (), ["--dst-type LOCAL"]),
        (("primary",), (), ["-d 192.168.1.1/32"]),
        (("192.168.0.0/16",), (), ["-d 192.168.1.1/32"]),
        (("192.168.0.0/16,10.0.0.0/8",), (), ["-d 192.168.1.1/32"]),
        (("192.168.0.0/16",), ("--node-address", "192.168.9.9"), ["-d 192.168.9.9/32"]),
        (
            ("192.168.0.0/16",),
            ("--node-address", "192.168.9.9", "--node-address", "192.168.2.2"),
            ["-d 192.168.2.2/32", "-d 192.168.9.9/32"],
        ),
        (("10.0.0.0/8",), (), []),
        (("10.0.0.0/8",), ("--node-address", "10.9.9.9"), ["-d 10.9.9.9/32"]),
        (("0.0.0.0/0",), (), ["--dst-type LOCAL"]),
        (("127.0.0.0/8",), (), ["-d 127.0.0.1/32"]),
        (("127.0.0.0/8",), ("--iptables-localhost-nodeports", "false"), []),
        (("primary",), ("--bind-address", "10.1.1.1"), ["-d 10.1.1.1/32"]),
    ],
)
@pytest.mark.parametrize("by_flag", [True, False])
def test_node_ports_answer_on_the_addresses_chosen(
    tmp_path: Path,
    addresses: tuple[str, ...],
    more: tuple[str, ...],
    wanted: list[str],
    by_flag: bool,
) -> None:
    objects = write(tmp_path, *LOCAL, node("node-1", "192.168.1.1"))
    if by_flag:
        how = tuple(part for text in addresses for part in ("--nodeport-addresses", text))
    else:
        listed = ",".join(addresses)
        how = configuration(tmp_path, f"nodePortAddresses: [{listed}]\n")
    finished = run("render", "-f", objects, *how, *more).expect(0)
    rules = rules_with(finished.stdout, NODE_PORTS, "nodeports; NOTE")
    assert len(rules) == len(wanted), rules
    for rule, part in zip(rules, wanted, strict=True):
        assert part in rule
