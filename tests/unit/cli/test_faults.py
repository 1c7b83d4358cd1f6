"""How `render` ends on what it cannot use: what it says, its exit status, and what it prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.running import run
from tests.unit.cli.objects import (
    TWO_NODES,
    endpoint_slice,
    node_port_service,
    rules_with,
    service,
    write,
)


@dataclass(frozen=True)
class Refused:
    """A run that ends with status 2 and nothing on stdout; `{}` is the folder it runs in."""

    __test__ = False

    name: str
    arguments: tuple[str, ...]
    errors: tuple[str, ...]
    """All that it says as errors; one that ends in `…` may go on as it likes."""


REFUSED = [
    Refused("no objects", (), ("no objects: give files, folders or - with -f",)),
    Refused(
        "a missing file",
        ("-f", "{}/none.yaml"),
        ("{}/none.yaml: cannot be read: No such file or directory",),
    ),
    Refused("an empty name", ("-f", ""), ('"": is an empty name; give a file, a folder or -',)),
    Refused(
        "a folder without manifests",
        ("-f", "{}/empty"),
        ("{}/empty: is a folder without any .yaml, .yml or .json file",),
    ),
    Refused(
        "bad YAML",
        ("-f", "{}/bad.yaml"),
        ("{}/bad.yaml: is no YAML: did not find expected …",),
    ),
    Refused(
        "bad JSON",
        ("-f", "{}/bad.json"),
        ("{}/bad.json: is no JSON: Expecting value (line 2, column 1)",),
    ),
    Refused("an empty file", ("-f", "{}/empty.yaml"), ("{}/empty.yaml: holds no object",)),
    Refused("nothing on standard input", ("-f", "-"), ("standard input: holds no object",)),
    Refused(
        "a port out of range",
        ("-f", "{}/bad-port.yaml"),
        (
            "{}/bad-port.yaml: Service default/web: spec.ports[0].port: is 99999,"
            " must be 1 to 65535",
        ),
    ),
    Refused(
        "three faults in three documents",
        ("-f", "{}/three.yaml"),
        (
            "{}/three.yaml, document 1 (line 1): Service default/one: spec.ports[0].port: is 0,"
            " must be 1 to 65535",
            "{}/three.yaml, document 2 (line 6): Service default/two: spec.type: is"
            ' "NodePorts", must be ClusterIP, NodePort, LoadBalancer or ExternalName',
            "{}/three.yaml, document 3 (line 11): is no YAML: …",
            "3 faults; nothing was written",
        ),
    ),
    Refused(
        "something to assume, with --assume never",
        ("-f", "{}/blank.yaml", "--assume", "never"),
        (
            "{}/blank.yaml: Service default/web: spec.clusterIP: is missing; give it, or drop"
            " --assume never",
            "{}/blank.yaml: Service default/web: spec.ports[0].nodePort: is missing; give it, or"
            " drop --assume never",
            "2 faults; nothing was written",
        ),
    ),
    Refused(
        "an unknown way to assume",
        ("-f", "{}/web.json", "--assume", "always"),
        ('--assume "always": it is missing or never',),
    ),
    Refused(
        "an unknown family",
        ("-f", "{}/web.json", "--family", "ipx"),
        ('--family "ipx": it is ipv4, ipv6 or dual',),
    ),
    Refused(
        "an unknown backend",
        ("-f", "{}/web.json", "--backend", "ebpf"),
        ('--backend "ebpf": rules can be made for …',),
    ),
    Refused(
        "an unknown iptables",
        ("-f", "{}/web.json", "--iptables-variant", "new"),
        ('--iptables-variant "new": it is nft or legacy',),
    ),
    Refused(
        "a node port range upside down",
        ("-f", "{}/web.json", "--node-port-range", "9-8"),
        ('--node-port-range "9-8": write FIRST-LAST, ports from 1 to 65535',),
    ),
    Refused(
        "no CIDR",
        ("-f", "{}/web.json", "--service-cidr", "10.0.0.0"),
        ('--service-cidr: "10.0.0.0" is no CIDR; write it like 10.244.0.0/16',),
    ),
    Refused(
        "two CIDRs of one family",
        ("-f", "{}/web.json", "--pod-cidr", "10.0.0.0/8,10.1.0.0/16"),
        ('--pod-cidr "10.0.0.0/8,10.1.0.0/16": give at most one CIDR of each family',),
    ),
    Refused(
        "a name that no node can have",
        ("-f", "{}/web.json", "--node", "a b"),
        ("--node: \"a b\" is no node name: lower-case letters, digits, '-' and '.', at most 253",),
    ),
    Refused(
        "no address",
        ("-f", "{}/web.json", "--node-address", "host"),
        ('--node-address: "host" is no IP address',),
    ),
    Refused(
        "neither true nor false",
        ("-f", "{}/web.json", "--masquerade-all", "1"),
        ('--masquerade-all "1": it is true or false',),
    ),
    Refused(
        "two flags that are wrong",
        ("-f", "{}/web.json", "--cluster-cidr", "x", "--iptables-masquerade-bit", "32"),
        (
            '--cluster-cidr: "x" is no CIDR; write it like 10.244.0.0/16',
            "--iptables-masquerade-bit: 32 is no bit of a mark; it is one of 0 to 31",
            "2 faults; nothing was written",
        ),
    ),
    Refused(
        "a feature gate without a value",
        ("-f", "{}/web.json", "--feature-gates", "A"),
        ('--feature-gates: "A": write NAME=true or NAME=false',),
    ),
    Refused(
        "several nodes to choose from",
        ("-f", "{}/nodes.json"),
        (
            "there are 2 Nodes (node-1, node-2): name one with --node, or take --all-nodes -o"
            " FOLDER",
        ),
    ),
    Refused(
        "several nodes in one text",
        ("-f", "{}/nodes.json", "--all-nodes"),
        ("2 nodes do not fit into one text: take -o FOLDER or -o json",),
    ),
    Refused(
        "--node beside --all-nodes",
        ("-f", "{}/nodes.json", "--all-nodes", "--node", "node-1"),
        ("--node and --all-nodes exclude each other",),
    ),
    Refused(
        "--all-nodes without Nodes",
        ("-f", "{}/web.json", "--all-nodes"),
        ("--all-nodes: there is no Node among the objects",),
    ),
    Refused(
        "one address for several nodes",
        ("-f", "{}/nodes.json", "--all-nodes", "-o", "json", "--node-address", "10.0.0.1"),
        ("--node-address belongs to one node, and there are several",),
    ),
    Refused(
        "a folder to write to that is a file",
        ("-f", "{}/web.json", "-o", "{}/web.json"),
        ('-o "{}/web.json": it is a file; name a folder',),
    ),
]

THREE = """\
apiVersion: v1
kind: Service
metadata: {name: one}
spec: {clusterIP: 10.96.0.1, ports: [{port: 0}]}
---
apiVersion: v1
kind: Service
metadata: {name: two}
spec: {type: NodePorts, clusterIP: 10.96.0.2, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: three: 3}
"""
BLANK = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, ports: [{port: 80}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.yaml").write_text("# nothing\n---\n")
    (tmp_path / "bad.yaml").write_text("kind: Service\nspec: [\n")
    (tmp_path / "bad.json").write_text('{"kind":\n')
    (tmp_path / "bad-port.yaml").write_text(BLANK.replace("80", "99999"))
    (tmp_path / "three.yaml").write_text(THREE)
    (tmp_path / "blank.yaml").write_text(BLANK)
    write(tmp_path, service(), name="web.json")
    write(tmp_path, service(), *TWO_NODES, name="nodes.json")
    return tmp_path


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_cannot_be_used_is_said_and_nothing_is_printed(case: Refused, folder: Path) -> None:
    def placed(texts: tuple[str, ...]) -> list[str]:
        return [text.replace("{}", str(folder)) for text in texts]

    finished = run("render", *placed(case.arguments)).expect(2)
    assert finished.stdout == ""
    said = finished.said("error")
    for number, wanted in enumerate(placed(case.errors)):
        if wanted.endswith("…") and number < len(said) and said[number].startswith(wanted[:-1]):
            said[number] = wanted
    assert said == placed(case.errors)
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    "arguments",
    [("render", "--bogus"), ("render", "--iptables-masquerade-bit", "x"), ("bogus",)],
    ids=" ".join,
)
def test_a_command_line_that_does_not_parse_is_an_error_too(arguments: tuple[str, ...]) -> None:
    finished = run(*arguments).expect(2)
    assert finished.stdout == ""
    assert arguments[-1] in finished.stderr or arguments[-2] in finished.stderr
    assert "nodeport-rules" in finished.stderr


def _bad_port(**spec: Any) -> dict[str, Any]:
    return service("bad", clusterIP="10.96.0.66", ports=[{"port": 99999}], **spec)


def test_with_keep_going_the_rest_is_compiled_and_the_status_is_1(tmp_path: Path) -> None:
    sound = [node_port_service("web", clusterIP="10.96.0.10"), endpoint_slice("web")]
    alone = run("render", "-f", write(tmp_path, *sound), "--node", "node-1").expect(0)
    both = write(tmp_path, _bad_port(), *sound)
    kept = run("render", "-f", both, "--node", "node-1", "--keep-going").expect(1)
    assert kept.stdout == alone.stdout
    assert kept.said("error") == [
        f"{both}, item 1: Service default/bad: spec.ports[0].port: is 99999, must be 1 to 65535"
    ]
    assert kept.said("warning") == ["1 fault; what they concern is left out"]


def test_a_document_that_is_no_yaml_costs_no_other_one_its_rules(tmp_path: Path) -> None:
    path = tmp_path / "both.yaml"
    path.write_text(f"spec: [\n---\n{BLANK}")
    finished = run("render", "-f", str(path), "--keep-going").expect(1)
    assert rules_with(finished.stdout, "default/web")
    assert len(finished.said("error")) == 1


def test_a_missing_file_costs_no_other_one_its_rules(folder: Path) -> None:
    sources = ("-f", str(folder / "none.yaml"), "-f", str(folder / "blank.yaml"))
    finished = run("render", *sources, "--keep-going").expect(1)
    assert rules_with(finished.stdout, "default/web")


def test_keep_going_with_nothing_wrong_is_status_0(folder: Path) -> None:
    run("render", "-f", str(folder / "web.json"), "--keep-going").expect(0)


def test_one_object_given_twice_is_a_fault_that_names_both_places(tmp_path: Path) -> None:
    one = write(tmp_path, service(), name="one.json")
    two = write(tmp_path, service(), name="two.json")
    (error,) = run("render", "-f", one, "-f", two).expect(2).said("error")
    assert "Service default/web" in error
    assert one in error
    assert two in error
