"""`explain` as its users meet it: destinations, sources, what it says and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nodeport_rules.cli.destination import Destination, parse_destination
from nodeport_rules.errors import UsageError
from tests.running import Finished, run
from tests.unit.cli.objects import (
    TWO_NODES,
    Object,
    endpoint_slice,
    node_port_service,
    service,
    write,
)

EXAMPLES = Path(__file__).parent.parent.parent.parent / "nodeport_rules" / "examples"
EXAMPLE = str(EXAMPLES / "web-service.yaml")
RECORDINGS = Path(__file__).parent.parent.parent / "conformance" / "recordings"
AFFINITY = RECORDINGS / "affinity-local"
THREE = endpoint_slice(
    "web", (("10.244.1.5", "node-1"), ("10.244.1.6", "node-1"), ("10.244.2.7", "node-2"))
)


@pytest.fixture
def objects(tmp_path: Path) -> str:
    return write(tmp_path, node_port_service(), THREE, *TWO_NODES)


def documents(finished: Finished) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(finished.expect(0).stdout)["explanations"]
    return found


def explained(*arguments: str) -> dict[str, Any]:
    """The one explanation, as JSON."""
    (found,) = documents(run("explain", *arguments, "-o", "json"))
    return found


def ends(found: dict[str, Any]) -> list[tuple[str, str, int, float, bool]]:
    return [
        (one["ending"], one["address"], one["port"], round(one["share"], 4), one["masqueraded"])
        for one in found["ends"]
    ]


# ------------------------------------------------------------------------------ destinations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.96.0.10", ("10.96.0.10", 0, "", None, "")),
        ("10.96.0.10:80", ("10.96.0.10", 80, "", None, "")),
        ("10.96.0.10:80/udp", ("10.96.0.10", 80, "udp", None, "")),
        ("10.96.0.10/SCTP", ("10.96.0.10", 0, "sctp", None, "")),
        ("fd00:0::1", ("fd00::1", 0, "", None, "")),
        ("[fd00::1]", ("fd00::1", 0, "", None, "")),
        ("[fd00::1]:80/udp", ("fd00::1", 80, "udp", None, "")),
        (":30080", ("", 30080, "", None, "")),
        (":30080/udp", ("", 30080, "udp", None, "")),
        ("default/web", ("", 0, "", ("default", "web"), "")),
        ("default/web:http", ("", 0, "", ("default", "web"), "http")),
        ("default/dns:53/udp", ("", 0, "udp", ("default", "dns"), "53")),
        ("default/tcp", ("", 0, "", ("default", "tcp"), "")),
    ],
)
def test_destinations(text: str, expected: tuple[Any, ...]) -> None:
    assert parse_destination(text) == Destination(text, *expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("web", "no destination"),
        ("", "no destination"),
        (":", "no port"),
        ("10.96.0.10:0", "no port"),
        ("10.96.0.10:65536", "no port"),
        ("10.96.0.10:http", "no port"),
        ("10.96.0.10:", "no port"),
        ("[fd00::1", "no destination"),
        ("[]:80", "no destination"),
        ("010.0.0.1:80", "no destination"),
        ("fe80::1%eth0", "no destination"),
        ("10.96.0.10/icmp", "the protocol is tcp, udp or sctp"),
        ("Default/Web", "no destination"),
    ],
)
def test_wrong_destinations(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_destination(text)


def test_a_port_is_not_needed_where_objects_know_them(tmp_path: Path) -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81, "protocol": "UDP"}]
    path = write(tmp_path, service(ports=ports))
    arguments = ("explain", "10.96.0.10", "-f", path, "-o", "json")
    both = [one["packet"] for one in documents(run(*arguments))]
    assert [(one["port"], one["protocol"]) for one in both] == [(80, "tcp"), (81, "udp")]
    by_name = explained("default/web:b", "-f", path)["packet"]
    assert (by_name["destination"], by_name["port"]) == ("10.96.0.10", 81)
    assert explained("10.96.0.10/udp", "-f", path)["packet"]["port"] == 81


def test_node_ports(objects: str) -> None:
    arguments = ("-f", objects, "--node", "node-1")
    bare = explained(":30080", *arguments)
    assert bare["packet"]["destination"] == "192.168.1.1"
    assert bare == explained("192.168.1.1:30080", *arguments)
    assert bare == explained("192.168.1.1", *arguments)


# ------------------------------------------------------------------------------ what comes out


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_the_example(backend: str) -> None:
    found = explained(":30008", "-f", EXAMPLE, "--backend", backend)
    assert [(end[0], end[3], end[4]) for end in ends(found)] == [("translated", 0.3333, True)] * 3
    assert found["summary"] == "3 endpoints, 33.3 % each; the source becomes the node's address"
    assert found["certain"]
    assert found["why"]["service"] == "web-service"


def test_text_fits_into_80_columns_and_names_chains() -> None:
    for backend in ("iptables", "nftables"):
        text = run("explain", ":30008", "-f", EXAMPLE, "--backend", backend).expect(0).stdout
        assert "KUBE-NODEPORTS" in text
        assert "KUBE-EXT-" in text
        assert "3 endpoints, 33.3 % each" in text
        assert max(len(line) for line in text.splitlines()) <= 80
        assert "\x1b" not in text


@pytest.mark.parametrize(
    ("node", "source", "expected"),
    [
        ("node-1", (), ["10.244.1.5", "10.244.1.6"]),
        ("node-2", (), ["10.244.2.7"]),
        ("node-1", ("--from", "pod"), ["10.244.1.5", "10.244.1.6", "10.244.2.7"]),
        ("node-1", ("--from", "node"), ["10.244.1.5", "10.244.1.6", "10.244.2.7"]),
        ("node-1", ("--from", "10.9.9.9"), ["10.244.1.5", "10.244.1.6"]),
    ],
)
@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_local_policy(
    tmp_path: Path, node: str, source: tuple[str, ...], expected: list[str], backend: str
) -> None:
    path = write(
        tmp_path,
        node_port_service(externalTrafficPolicy="Local"),
        THREE,
        *TWO_NODES,
    )
    flags = ("--node", node, "--cluster-cidr", "10.244.0.0/16", "--backend", backend)
    found = explained(":30080", "-f", path, *flags, *source)
    assert [end[1] for end in ends(found)] == expected
    assert {end[4] for end in ends(found)} == {source == ("--from", "node")}
    assert found["why"]["used"] == [f"{ip}:8080" for ip in expected]


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_no_local_endpoint_and_what_would_help(tmp_path: Path, backend: str) -> None:
    only_there = endpoint_slice("web", (("10.244.2.7", "node-2"),))
    path = write(
        tmp_path,
        node_port_service(externalTrafficPolicy="Local"),
        only_there,
        *TWO_NODES,
    )
    arguments = (":30080", "-f", path, "--node", "node-1", "--backend", backend)
    found = explained(*arguments)
    assert [end[0] for end in ends(found)] == ["dropped"]
    left_out = {"endpoint": "10.244.2.7:8080", "node": "node-2", "detail": "on node-2"}
    assert found["why"]["leftOut"] == [{**left_out, "reason": "on another node, policy Local"}]
    text = run("explain", *arguments).expect(0).stdout
    assert "Dropped: the sender gets no answer" in text
    assert "set externalTrafficPolicy: Cluster, or run a ready endpoint on node-1" in text


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_source_ranges(tmp_path: Path, backend: str) -> None:
    spec: Object = {
        "type": "LoadBalancer",
        "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}],
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
    }
    balanced = service(**spec)
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
    path = write(tmp_path, balanced, THREE, *TWO_NODES)
    flags = ("-f", path, "--node", "node-1", "--backend", backend)
    allowed = explained("203.0.113.1:80", *flags, "--from", "10.9.9.9")
    assert len(allowed["ends"]) == 3
    assert allowed["why"]["changes"] == []
    refused = explained("203.0.113.1:80", *flags, "--from", "11.9.9.9")
    assert [end[0] for end in ends(refused)] == ["dropped"]
    assert "loadBalancerSourceRanges" in refused["why"]["changes"][0]
    assert len(explained(":30080", *flags, "--from", "11.9.9.9")["ends"]) == 3


def test_hairpin(objects: str) -> None:
    flags = ("-f", objects, "--node", "node-1", "--cluster-cidr", "10.244.0.0/16")
    found = explained("default/web", *flags, "--from", "10.244.1.5")
    assert [(end[1], end[4]) for end in ends(found)] == [
        ("10.244.1.5", True),
        ("10.244.1.6", False),
        ("10.244.2.7", False),
    ]
    assert found["packet"]["from"] == "pod"


def test_affinity_is_said(tmp_path: Path) -> None:
    sticky = node_port_service(sessionAffinity="ClientIP")
    path = write(tmp_path, sticky, THREE, *TWO_NODES)
    for backend in ("iptables", "nftables"):
        flags = ("-f", path, "--node", "node-1", "--backend", backend)
        assert explained(":30080", *flags)["sessionAffinity"]
    assert "session affinity" in run("explain", ":30080", *flags).expect(0).stdout


def test_nobodys_business_and_what_comes_near(objects: str) -> None:
    arguments = ("10.96.0.10:81", "-f", objects, "--node", "node-1")
    found = explained(*arguments)
    assert ends(found) == [("passed", "10.96.0.10", 81, 1.0, False)]
    assert found["why"] is None
    assert "which has port 80/tcp only" in found["nearMisses"][0]
    text = run("explain", *arguments).expect(0).stdout
    assert "No Service's business" in text
    assert "which has" in text


def test_it_says_the_same_every_time(objects: str) -> None:
    for output in ("text", "json", "mermaid"):
        arguments = ("explain", ":30080", "-f", objects, "--node", "node-1", "-o", output)
        assert run(*arguments).expect(0).stdout == run(*arguments).stdout


def test_interfaces_tell_pods_by_the_settings(objects: str) -> None:
    mode = ("--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "br0")
    flags = ("-f", objects, "--node", "node-1", *mode)
    pod = explained("default/web", *flags, "--from", "pod")
    assert pod["packet"]["interface"] == "br0"
    assert not pod["ends"][0]["masqueraded"]
    other = explained("default/web", *flags, "--from", "pod", "-i", "br1")
    assert other["ends"][0]["masqueraded"]


# ------------------------------------------------------------------------------ rules of others


@pytest.mark.parametrize(
    ("name", "table"), [("iptables.save", "nat"), ("nftables.ip.nft", "kube-proxy")]
)
def test_a_dump_of_kube_proxys(name: str, table: str) -> None:
    arguments = (
        "192.168.1.100:30117",
        "--rules",
        str(AFFINITY / name),
        "--node-address=192.168.1.100",
    )
    found = explained(*arguments)
    assert ends(found) == [
        ("translated", "10.244.0.5", 8080, 0.5, False),
        ("translated", "10.244.0.9", 8080, 0.5, False),
    ]
    assert table in {section["table"] for section in found["way"]}
    assert (found["why"], found["nearMisses"]) == (None, None)
    with_objects = explained(*arguments, "-f", str(AFFINITY / "objects.json"))
    assert with_objects["why"]["service"] == "aff"
    assert (with_objects["objectsOnly"], with_objects["rulesOnly"]) == ([], [])


def test_nft_as_json(tmp_path: Path) -> None:
    rule = [
        {"match": {"op": "==", "left": _payload("tcp", "dport"), "right": 8080}},
        {"dnat": {"addr": "172.17.0.2", "port": 80}},
    ]
    table = {"family": "ip", "table": "mine"}
    hook = {"type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}
    listing = [
        {"table": {"family": "ip", "name": "mine", "handle": 1}},
        {"chain": {**table, "name": "pre", "handle": 1, **hook}},
        {"rule": {**table, "chain": "pre", "handle": 2, "expr": rule}},
    ]
    path = tmp_path / "listing.json"
    path.write_text(json.dumps({"nftables": listing}))
    found = explained("192.168.1.5:8080", "--rules", str(path))
    assert ends(found) == [("translated", "172.17.0.2", 80, 1.0, False)]


def _payload(protocol: str, field: str) -> Object:
    return {"payload": {"protocol": protocol, "field": field}}


def test_objects_and_rules_that_disagree(tmp_path: Path) -> None:
    path = tmp_path / "objects.json"
    text = (AFFINITY / "objects.json").read_text().replace("10.244.0.9", "10.244.0.99")
    path.write_text(text)
    found = explained(
        *("192.168.1.100:30117", "--rules", str(AFFINITY / "iptables.save"), "-f", str(path))
    )
    assert found["objectsOnly"] == ["10.244.0.99:8080"]
    assert found["rulesOnly"] == ["10.244.0.9:8080"]


FOREIGN = """\
*filter
:FORWARD DROP [0:0]
-A FORWARD -m geoip --src-cc AQ -m comment --comment "\x1b[31m" -j ACCEPT
COMMIT
"""


def test_what_is_not_understood_is_said_and_makes_the_end_uncertain(tmp_path: Path) -> None:
    path = tmp_path / "foreign.save"
    path.write_text(FOREIGN)
    arguments = ("192.0.2.99:80", "--rules", str(path), "--node-address", "192.168.1.1")
    found = explained(*arguments)
    assert not found["certain"]
    assert "geoip" in found["notUnderstood"][0]
    text = run("explain", *arguments).expect(0).stdout
    assert "not understood: -A FORWARD -m geoip" in text
    assert "Not certain" in text
    assert "\x1b" not in text


def test_both_families_in_one_dump(tmp_path: Path) -> None:
    path = tmp_path / "both.save"
    dumps = [(AFFINITY / name).read_text() for name in ("iptables.save", "ip6tables.save")]
    heads = ("# Generated by iptables-save v1.8.9", "# Generated by ip6tables-save v1.8.9")
    path.write_text("".join(f"{head}\n{dump}" for head, dump in zip(heads, dumps, strict=True)))
    local = ("--node-address", "192.168.1.100")
    assert len(explained("192.168.1.100:30117", "--rules", str(path), *local)["ends"]) == 2
    assert ends(explained("[fd00::9]:80", "--rules", str(path), *local))[0][0] == "passed"


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("10.0.0.1:80",), "no rules"),
        (("10.0.0.1:80", "--live", "--rules", "x"), "exclude each other"),
        (("10.0.0.1:80", "--rules", "/nowhere/x"), "cannot be read"),
        (("10.0.0.1:80", "-f", EXAMPLE, "-o", "yaml"), "text, json or mermaid"),
        (("web", "-f", EXAMPLE), "no destination"),
        (("default/nothing", "-f", EXAMPLE), "no Service default/nothing"),
        (("default/web-service:https", "-f", EXAMPLE), "no such port"),
        (("10.0.0.1", "-f", EXAMPLE), "no Service has this address; give a port"),
        (("10.0.0.1:80", "-f", EXAMPLE, "--from", "fd00::1"), "IPv4"),
        (("10.0.0.1:80", "-f", EXAMPLE, "--from", "me"), "it is an address, pod or node"),
        (("10.0.0.1:80", "-f", EXAMPLE, "--from", "node", "-i", "eth0"), "no interface"),
        (("10.0.0.1:80", "-f", EXAMPLE, "--backend", "ipvs"), "iptables and nftables"),
    ],
)
def test_errors(arguments: tuple[str, ...], message: str) -> None:
    finished = run("explain", *arguments).expect(2)
    assert finished.stdout == ""
    assert message in finished.said("error")[-1]


def test_errors_about_dumps(tmp_path: Path) -> None:
    dump = str(AFFINITY / "iptables.save")
    for arguments, message in (
        (("10.0.0.1", "--rules", dump), "which port?"),
        (("default/web", "--rules", dump), "give its objects with -f"),
        ((":30117", "--rules", dump), "--node-address"),
        (("[fd00::1]:80", "--rules", dump), "no IPv6 rules"),
        (("10.0.0.1:80", "--rules", dump, "--rules", dump), "is there already"),
        (("10.0.0.1:80", "--rules", dump, "--from", "node"), "--node-address"),
    ):
        assert message in run("explain", *arguments).expect(2).said("error")[-1]
    cut = tmp_path / "cut.save"
    cut.write_text("*nat\n:KUBE-SERVICES - [0:0]\n")
    short = run("explain", "10.0.0.1:80", "--rules", str(cut)).expect(2)
    assert "cut short" in short.said("error")[-1]


def test_it_warns_when_nothing_tells_what_is_local() -> None:
    finished = run("explain", "192.168.1.100:30117", "--rules", str(AFFINITY / "iptables.save"))
    assert "nothing tells which addresses are the node's own" in finished.said("warning")[0]


def test_several_nodes_need_a_name(objects: str) -> None:
    finished = run("explain", ":30080", "-f", objects).expect(2)
    assert "there are 2 Nodes (node-1, node-2)" in finished.said("error")[-1]


@pytest.mark.parametrize("name", ["x; flush ruleset", "-f", "", "x y", "x{}"])
def test_the_name_of_a_table_is_no_script(name: str) -> None:
    arguments = ("10.0.0.1:80", "--live", "--backend", "nftables", "--node-address", "10.9.9.9")
    finished = run("explain", *arguments, f"--table={name}").expect(2)
    assert "is no name of an nftables table" in finished.said("error")[-1]
