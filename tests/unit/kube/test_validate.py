"""Every rule for sound objects, a row a fault; and that no hostile text gets past them."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeport_rules.kube.defaults import with_defaults
from nodeport_rules.kube.objects import (
    Endpoints,
    EndpointSlice,
    KubeObject,
    Node,
    Pod,
    Service,
    ServiceCIDR,
    Workload,
)
from nodeport_rules.kube.snapshot import Snapshot, snapshot_of
from nodeport_rules.kube.text_rules import (
    is_ordinary_ipv6,
    ordinary_ipv4,
    parse_address,
    parse_cidr,
)
from nodeport_rules.kube.validate import validate

PORT = {"port": 80}


def checked(item: KubeObject) -> tuple[Snapshot, list[str]]:
    snapshot, faults = validate(with_defaults(snapshot_of([item])))
    return snapshot, [f"{fault.field}: {fault.message}" for fault in faults]


def service(spec: dict[str, Any], **metadata: object) -> Service:
    spec = {"clusterIP": "10.96.0.10", "ports": [PORT], **spec}
    return msgspec.convert({"metadata": {"name": "a", **metadata}, "spec": spec}, Service)


def a_slice(**fields: object) -> EndpointSlice:
    base = {"metadata": {"name": "a"}, "addressType": "IPv4"}
    return msgspec.convert({**base, **fields}, EndpointSlice)


LABEL = "no legal name: lower-case letters, digits and inner -, at most 63"
SUBDOMAIN = "no legal name: lower-case letters, digits, inner - and ., at most 253"
TARGET = "no legal name: lower-case letters (one at least), digits and single inner -, at most 15"
NO_ADDRESS = "no plain IPv4 or IPv6 address"
POLICIES = "must be Cluster or Local"
NO_CIDR = "no CIDR such as 10.0.0.0/8 or fd00::/64"
TWO = {"clusterIP": None}

SERVICES: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"type": "External"},
        ['spec.type: is "External", must be ClusterIP, NodePort, LoadBalancer or ExternalName'],
    ),
    ({"ports": []}, ["spec.ports: is empty; a Service needs a port at least"]),
    ({"ports": [{"port": 0}]}, ["spec.ports[0].port: is 0, must be 1 to 65535"]),
    ({"ports": [{"port": 65536}]}, ["spec.ports[0].port: is 65536, must be 1 to 65535"]),
    (
        {"ports": [{"port": -1, "protocol": "ICMP"}]},
        [
            "spec.ports[0].port: is -1, must be 1 to 65535",
            'spec.ports[0].protocol: is "ICMP", must be TCP, UDP or SCTP',
        ],
    ),
    (
        {"ports": [{"port": 80, "protocol": "tcp"}]},
        ['spec.ports[0].protocol: is "tcp", must be TCP, UDP or SCTP'],
    ),
    ({"ports": [{"port": 80, "name": "Web"}]}, [f'spec.ports[0].name: is "Web", {LABEL}']),
    ({"ports": [{"port": 80, "name": "a\n"}]}, [f'spec.ports[0].name: is "a\\n", {LABEL}']),
    (
        {"ports": [{"port": 80, "targetPort": 70000}]},
        ["spec.ports[0].targetPort: is 70000, must be 1 to 65535"],
    ),
    (
        {"ports": [{"port": 80, "targetPort": "80"}]},
        [f'spec.ports[0].targetPort: is "80", {TARGET}'],
    ),
    (
        {"ports": [{"port": 80, "targetPort": "a--b"}]},
        [f'spec.ports[0].targetPort: is "a--b", {TARGET}'],
    ),
    (
        {"type": "NodePort", "ports": [{"port": 80, "nodePort": 65536}]},
        ["spec.ports[0].nodePort: is 65536, must be 0 to 65535"],
    ),
    (
        {"ports": [{"port": 80, "nodePort": 30080}]},
        ['spec.ports[0].nodePort: is given, but the Service is of type "ClusterIP"'],
    ),
    (
        {"ports": [{"port": 80}, {"port": 81, "name": "b"}]},
        ["spec.ports[0].name: is missing; with several ports each needs a name"],
    ),
    (
        {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
        ["spec.ports[1]: has the same name as spec.ports[0]"],
    ),
    (
        {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
        ["spec.ports[1]: has the same port and protocol as spec.ports[0]"],
    ),
    (
        {
            "type": "NodePort",
            "ports": [
                {"port": 80, "name": "a", "nodePort": 30080},
                {"port": 81, "name": "b", "nodePort": 30080},
            ],
        },
        ["spec.ports[1]: has the same nodePort and protocol as spec.ports[0]"],
    ),
    ({"internalTrafficPolicy": "local"}, [f'spec.internalTrafficPolicy: is "local", {POLICIES}']),
    (
        {"type": "NodePort", "externalTrafficPolicy": "None"},
        [f'spec.externalTrafficPolicy: is "None", {POLICIES}'],
    ),
    (
        {"sessionAffinity": "Cookie"},
        ['spec.sessionAffinity: is "Cookie", must be None or ClientIP'],
    ),
    (
        {
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}},
        },
        ["spec.sessionAffinityConfig.clientIP.timeoutSeconds: is 0, must be 1 to 86400"],
    ),
    (
        {
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}},
        },
        ["spec.sessionAffinityConfig.clientIP.timeoutSeconds: is 86401, must be 1 to 86400"],
    ),
    (
        {"type": "LoadBalancer", "healthCheckNodePort": 70000},
        ["spec.healthCheckNodePort: is 70000, must be 0 to 65535"],
    ),
    ({"clusterIP": "010.0.0.1"}, [f'spec.clusterIP: is "010.0.0.1", {NO_ADDRESS}']),
    (
        {"clusterIP": "127.0.0.1"},
        ["spec.clusterIP: is 127.0.0.1, a loopback address, which is not allowed here"],
    ),
    (
        {"clusterIPs": ["10.96.0.11"]},
        ["spec.clusterIP: is 10.96.0.10, but clusterIPs begins with 10.96.0.11"],
    ),
    (
        {**TWO, "clusterIPs": ["10.96.0.1", "10.96.0.2"]},
        ["spec.clusterIPs: holds more than one address of a family"],
    ),
    (
        {**TWO, "clusterIPs": ["10.96.0.1", "fd00::1", "fd00::2"]},
        ["spec.clusterIPs: holds more than one address of a family"],
    ),
    (
        {**TWO, "clusterIPs": ["10.96.0.1", "None"]},
        ['spec.clusterIPs: must be "None" alone, as clusterIP, or addresses'],
    ),
    (
        {"type": "NodePort", "clusterIP": "None"},
        ['spec.clusterIPs: may be "None" only for type ClusterIP'],
    ),
    (
        {"ipFamilies": ["IPv6"]},
        ["spec.clusterIPs: has the families IPv4, ipFamilies says otherwise"],
    ),
    (
        {"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "PreferDualStack"},
        ["spec.ipFamilies: names a family twice"],
    ),
    (
        {"ipFamilies": ["IPv5"], "clusterIP": None},
        ['spec.ipFamilies[0]: is "IPv5", must be IPv4 or IPv6'],
    ),
    (
        {"ipFamilyPolicy": "Dual"},
        [
            'spec.ipFamilyPolicy: is "Dual", must be SingleStack, PreferDualStack or '
            "RequireDualStack"
        ],
    ),
    (
        {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack"},
        ["spec.ipFamilyPolicy: is SingleStack, but two families are given"],
    ),
    (
        {"externalIPs": ["192.0.2.1", "169.254.1.1", "x"]},
        [
            "spec.externalIPs[1]: is 169.254.1.1, a link-local address, which is not allowed here",
            f'spec.externalIPs[2]: is "x", {NO_ADDRESS}',
        ],
    ),
    (
        {"loadBalancerSourceRanges": ["10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0"]},
        [
            f'spec.loadBalancerSourceRanges[0]: is "10.0.0.0/33", {NO_CIDR}',
            f'spec.loadBalancerSourceRanges[1]: is "10.0.0.0/255.0.0.0", {NO_CIDR}',
            f'spec.loadBalancerSourceRanges[2]: is "10.0.0.0", {NO_CIDR}',
        ],
    ),
]


@pytest.mark.parametrize(("spec", "messages"), SERVICES)
def test_service_faults(spec: dict[str, Any], messages: list[str]) -> None:
    bad, good = service(spec), service({}, name="good")
    snapshot, faults = validate(with_defaults(snapshot_of([bad, good])))
    assert [f"{fault.field}: {fault.message}" for fault in faults] == messages
    assert {fault.subject for fault in faults} == {"Service default/a"}
    assert [item.name for item in snapshot.services] == ["good"]


METADATA: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "metadata.name: is missing"),
    ({"name": "A"}, f'metadata.name: is "A", {LABEL}'),
    ({"name": "a.b"}, f'metadata.name: is "a.b", {LABEL}'),
    ({"name": "a-"}, f'metadata.name: is "a-", {LABEL}'),
    ({"name": "a" * 64}, f'metadata.name: is "{"a" * 64}", {LABEL}'),
    ({"name": "a\n"}, f'metadata.name: is "a\\n", {LABEL}'),
    ({"name": "é"}, f'metadata.name: is "é", {LABEL}'),
    ({"namespace": "a b"}, f'metadata.namespace: is "a b", {LABEL}'),
    ({"namespace": "$(x)"}, f'metadata.namespace: is "$(x)", {LABEL}'),
    (
        {"creationTimestamp": "yesterday"},
        'metadata.creationTimestamp: is "yesterday", no time as in RFC 3339',
    ),
]


@pytest.mark.parametrize(("metadata", "message"), METADATA)
def test_metadata_faults(metadata: dict[str, Any], message: str) -> None:
    snapshot, faults = checked(service({}, **metadata))
    assert faults == [message]
    assert snapshot.services == ()


ACCEPTED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"clusterIP": "FD00:0::A"}, {"clusterIP": "fd00::a", "clusterIPs": ["fd00::a"]}),
    (
        {"clusterIP": None, "clusterIPs": ["10.96.0.1", "fd00:0::1"]},
        {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]},
    ),
    ({"externalIPs": ["2001:DB8::1"]}, {"externalIPs": ["2001:db8::1"]}),
    (
        {"loadBalancerSourceRanges": [" 10.1.2.3/8 ", "::1/0"]},
        {"loadBalancerSourceRanges": ["10.0.0.0/8", "::/0"]},
    ),
    ({"ports": [{"port": 53, "name": "a"}, {"port": 53, "name": "b", "protocol": "UDP"}]}, {}),
    ({"clusterIP": "None", "ports": None}, {}),
    ({"type": "ExternalName", "clusterIP": None, "ports": None}, {}),
    ({"ports": [{"port": 80, "nodePort": 0, "targetPort": "a-1"}]}, {}),
    ({"ports": [{"port": 1, "name": "9" * 63}]}, {}),
]


@pytest.mark.parametrize(("spec", "changes"), ACCEPTED)
def test_sound_services_stay(spec: dict[str, Any], changes: dict[str, Any]) -> None:
    snapshot, faults = checked(service(spec))
    assert faults == []
    (kept,) = snapshot.services
    found = msgspec.to_builtins(kept.spec)
    assert {key: found.get(key) for key in changes} == changes


def test_creation_time_becomes_utc() -> None:
    snapshot, faults = checked(service({}, creationTimestamp="2026-01-01T01:00:00+02:00"))
    assert faults == []
    assert snapshot.services[0].metadata.creation_timestamp == "2025-12-31T23:00:00Z"


def test_load_balancer_status() -> None:
    ingress = [{"ip": "2001:DB8::1"}, {"ip": "x"}, {"ip": "192.0.2.1", "ipMode": "Other"}]
    base = msgspec.to_builtins(service({}))
    bad = msgspec.convert({**base, "status": {"loadBalancer": {"ingress": ingress}}}, Service)
    good = msgspec.convert({**base, "status": {"loadBalancer": {"ingress": ingress[:1]}}}, Service)
    assert checked(bad)[1] == [
        f'status.loadBalancer.ingress[1].ip: is "x", {NO_ADDRESS}',
        'status.loadBalancer.ingress[2].ipMode: is "Other", must be VIP or Proxy',
    ]
    (kept,) = checked(good)[0].services
    assert msgspec.to_builtins(kept.status) == {
        "loadBalancer": {"ingress": [{"ip": "2001:db8::1", "ipMode": "VIP"}]}
    }


def special(address: str, kind: str) -> str:
    return f"is {address}, a {kind} address, which is not allowed here"


ENDPOINTS: list[tuple[dict[str, Any], list[str]]] = [
    ({"addresses": []}, ["addresses: holds 0, must be 1 to 100"]),
    ({"addresses": ["10.0.0.1"] * 101}, ["addresses: holds 101, must be 1 to 100"]),
    ({"addresses": ["10.0.0.01"]}, [f'addresses[0]: is "10.0.0.01", {NO_ADDRESS}']),
    ({"addresses": ["10.0.0.1\n"]}, [f'addresses[0]: is "10.0.0.1\\n", {NO_ADDRESS}']),
    ({"addresses": ["fd00::1"]}, ["addresses[0]: is fd00::1, but the slice's addressType is IPv4"]),
    ({"addresses": ["127.0.0.1"]}, ["addresses[0]: " + special("127.0.0.1", "loopback")]),
    ({"addresses": ["0.0.0.0"]}, ["addresses[0]: " + special("0.0.0.0", "unspecified")]),
    ({"addresses": ["169.254.0.1"]}, ["addresses[0]: " + special("169.254.0.1", "link-local")]),
    ({"addresses": ["224.0.0.1"]}, ["addresses[0]: " + special("224.0.0.1", "multicast")]),
    ({"addresses": ["10.0.0.1"], "nodeName": "a b"}, [f'nodeName: is "a b", {SUBDOMAIN}']),
    (
        {"addresses": ["10.0.0.1"], "zone": "a b"},
        ['zone: is "a b", no legal name: letters, digits and inner -, _ and ., at most 63'],
    ),
    (
        {
            "addresses": ["10.0.0.1"],
            "hints": {"forZones": [{"name": "`"}], "forNodes": [{"name": '"'}]},
        },
        [
            'hints.forZones[0].name: is "`", no legal name: letters, digits and inner -, _ and ., '
            "at most 63",
            f'hints.forNodes[0].name: is """, {SUBDOMAIN}',
        ],
    ),
]


@pytest.mark.parametrize(("endpoint", "messages"), ENDPOINTS)
def test_a_bad_endpoint_goes_alone(endpoint: dict[str, Any], messages: list[str]) -> None:
    good = {"addresses": ["10.0.0.9"], "nodeName": "node-1", "zone": "a"}
    snapshot, faults = checked(a_slice(endpoints=[good, endpoint, good]))
    assert faults == [f"endpoints[1].{message}" for message in messages]
    assert msgspec.to_builtins(snapshot.slices[0].endpoints) == [good, good]


def test_slice_ports() -> None:
    ports = [
        {"port": 80, "name": "a"},
        {"port": 65536, "name": "b"},
        {"port": None, "name": "c"},
        {"port": 0, "name": "d"},
        {"port": 80, "name": "A"},
        {"port": 80, "name": "e", "protocol": "X"},
        {"port": 81, "name": "a"},
    ]
    snapshot, faults = checked(a_slice(ports=ports))
    assert faults == [
        "ports[1].port: is 65536, must be 0 to 65535",
        f'ports[4].name: is "A", {LABEL}',
        'ports[5].protocol: is "X", must be TCP, UDP or SCTP',
        "ports[6]: has the same name as ports[0]",
    ]
    assert [port.name for port in snapshot.slices[0].ports or ()] == ["a", "c", "d"]


def test_slices_that_are_lost() -> None:
    name = "kubernetes.io/service-name"
    labelled = {"name": "a", "labels": {name: "a;b"}}
    for item, messages in (
        (a_slice(addressType="FQDN", endpoints=[{"addresses": ["x.example"]}]), []),
        (a_slice(addressType="IP"), ['addressType: is "IP", must be IPv4, IPv6 or FQDN']),
        (a_slice(metadata=labelled), [f'metadata.labels["{name}"]: is "a;b", {LABEL}']),
        (a_slice(metadata={"name": "a/b"}), [f'metadata.name: is "a/b", {SUBDOMAIN}']),
    ):
        snapshot, faults = checked(item)
        assert (snapshot.slices, faults) == ((), messages)


def test_ipv6_slices_become_canonical() -> None:
    item = a_slice(addressType="IPv6", endpoints=[{"addresses": ["FD00:0:0::1", "fd00::2"]}])
    snapshot, faults = checked(item)
    assert faults == []
    assert (snapshot.slices[0].endpoints or [])[0].addresses == ["fd00::1", "fd00::2"]


def test_sound_slices_are_not_copied() -> None:
    item = a_slice(
        metadata={"name": "a", "namespace": "b"},
        endpoints=[{"addresses": ["10.0.0.1"]}],
        ports=[{"name": "", "protocol": "TCP", "port": 1}],
    )
    assert checked(item)[0].slices[0] is item


OTHERS: list[tuple[type[KubeObject], dict[str, Any], list[str]]] = [
    (Node, {"spec": {"podCIDRs": ["10.0.0.0"]}}, [f'spec.podCIDRs[0]: is "10.0.0.0", {NO_CIDR}']),
    (
        Node,
        {"status": {"addresses": [{"type": "InternalIP", "address": "x"}]}},
        [f'status.addresses[0].address: is "x", {NO_ADDRESS}'],
    ),
    (ServiceCIDR, {"spec": {"cidrs": []}}, ["spec.cidrs: is empty"]),
    (ServiceCIDR, {"spec": {"cidrs": ["x"]}}, [f'spec.cidrs[0]: is "x", {NO_CIDR}']),
    (Pod, {"status": {"podIPs": [{"ip": "x"}]}}, [f'status.podIPs[0].ip: is "x", {NO_ADDRESS}']),
    (Pod, {"status": {"podIP": "x"}}, [f'status.podIP: is "x", {NO_ADDRESS}']),
    (Pod, {"spec": {"nodeName": "A"}}, [f'spec.nodeName: is "A", {SUBDOMAIN}']),
    (
        Pod,
        {"spec": {"containers": [{"ports": [{"containerPort": 0, "name": "1", "protocol": "X"}]}]}},
        [
            "spec.containers[0].ports[0].containerPort: is 0, must be 1 to 65535",
            'spec.containers[0].ports[0].protocol: is "X", must be TCP, UDP or SCTP',
            f'spec.containers[0].ports[0].name: is "1", {TARGET}',
        ],
    ),
    (
        Workload,
        {"kind": "Deployment", "spec": {"replicas": -1}},
        ["spec.replicas: is -1, must be 0 to 10000"],
    ),
    (
        Workload,
        {"kind": "StatefulSet", "spec": {"replicas": 10**12}},
        ["spec.replicas: is 1000000000000, must be 0 to 10000"],
    ),
]


@pytest.mark.parametrize(("struct", "fields", "messages"), OTHERS)
def test_faults_of_other_kinds(
    struct: type[KubeObject], fields: dict[str, Any], messages: list[str]
) -> None:
    snapshot, faults = checked(msgspec.convert({"metadata": {"name": "a"}, **fields}, struct))
    assert faults == messages
    assert snapshot == Snapshot()


def test_endpoints_lose_only_what_is_bad() -> None:
    subset = {
        "addresses": [{"ip": "10.0.0.1"}, {"ip": "x"}, {"ip": "FD00::1"}],
        "notReadyAddresses": [{"ip": "127.0.0.1"}],
        "ports": [{"port": 80}, {"port": 0, "name": "b"}],
    }
    item = msgspec.convert({"metadata": {"name": "a"}, "subsets": [subset]}, Endpoints)
    snapshot, faults = checked(item)
    assert faults == [
        f'subsets[0].addresses[1].ip: is "x", {NO_ADDRESS}',
        "subsets[0].notReadyAddresses[0].ip: " + special("127.0.0.1", "loopback"),
        "subsets[0].ports[1].port: is 0, must be 1 to 65535",
    ]
    assert msgspec.to_builtins(snapshot.endpoints[0].subsets) == [
        {
            "addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "notReadyAddresses": [],
            "ports": [{"port": 80, "protocol": "TCP"}],
        }
    ]


# ---------------------------------------------------------------------------------- hostile text

SAFE = re.compile(r"[A-Za-z0-9./:_-]*", re.ASCII)
hostile = st.text(
    alphabet=st.sampled_from(list("aA0.-:/_\n\r\t\x00\x1b\"'`$ ;|&<>\\{}()é٣²\u2028,!#%*?[]~")),
    max_size=8,
) | st.text(max_size=8)


def texts_of(item: object) -> list[str]:
    if isinstance(item, str):
        return [item]
    if isinstance(item, dict):
        return [text for value in item.values() for text in texts_of(value)]
    return [text for value in item for text in texts_of(value)] if isinstance(item, list) else []


@given(hostile, hostile, hostile, hostile, hostile)
def test_no_hostile_text_passes_in_services(a: str, b: str, c: str, d: str, e: str) -> None:
    spec = {"ports": [{"port": 1, "name": c}], "externalIPs": [d], "loadBalancerSourceRanges": [e]}
    for metadata, fields in (
        ({"name": a}, {}),
        ({"namespace": b}, {}),
        ({}, {"ports": spec["ports"]}),
        ({}, {"externalIPs": spec["externalIPs"]}),
        ({}, {"loadBalancerSourceRanges": spec["loadBalancerSourceRanges"]}),
        ({}, {"clusterIP": d}),
        ({}, {"ports": [{"port": 1, "protocol": a or "x", "targetPort": b or "x"}]}),
    ):
        snapshot, faults = checked(service(fields, **metadata))
        assert all(message.isprintable() for message in faults)
        for kept in snapshot.services:
            for text in texts_of(msgspec.to_builtins(kept)):
                assert SAFE.fullmatch(text), text


@given(hostile, hostile, hostile)
def test_no_hostile_text_passes_in_slices(a: str, b: str, c: str) -> None:
    labels = {"kubernetes.io/service-name": a}
    item = a_slice(
        metadata={"name": "a", "namespace": b or "x", "labels": labels},
        endpoints=[{"addresses": [c]}, {"addresses": ["10.0.0.1"], "nodeName": a, "zone": b}],
        ports=[{"name": c, "port": 1}],
    )
    snapshot, faults = checked(item)
    assert all(message.isprintable() for message in faults)
    for kept in snapshot.slices:
        for text in texts_of(msgspec.to_builtins(kept)):
            assert SAFE.fullmatch(text), text


@given(st.ip_addresses())
def test_canonical_addresses_stay(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    parsed = parse_address(str(address))
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        assert parsed is None
        return
    assert parsed is not None
    assert parsed.text == str(address)
    assert parsed.family == f"IPv{address.version}"
    plain = address.version == 4 and not parsed.special and int(address) >> 24 < 224
    if ordinary_ipv4(str(address)):
        assert plain
    elif plain:
        assert int(address) >> 24 in (0, 169)


@given(hostile | st.from_regex(r"[0-9a-f:.]{1,20}(/[0-9]{1,3})?", fullmatch=True))
def test_addresses_and_cidrs_are_what_python_thinks(text: str) -> None:
    parsed = parse_address(text)
    if parsed is not None:
        assert str(ipaddress.ip_address(text)) == parsed.text
    cidr = parse_cidr(text)
    if cidr is not None:
        assert str(ipaddress.ip_network(text, strict=False)) == cidr[0]


groups = st.sampled_from(["0", "1", "00", "01", "ff", "fe80", "ff02", "fd00", "a", "ABCD", "12345"])


@given(st.lists(groups | st.just(""), min_size=2, max_size=9).map(":".join))
def test_the_quick_way_for_ipv6_is_never_wrong(text: str) -> None:
    if is_ordinary_ipv6(text):
        parsed = parse_address(text)
        assert parsed is not None
        assert (parsed.text, parsed.special) == (text, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fd00::1", True),
        ("fd00:10:244:1::a", True),
        ("2001:db8::1:2:3:4", True),
        ("2001:db8:1::2:3:4:5", False),
        ("fe80::1", False),
        ("febf::1", False),
        ("ff02::1", False),
        ("::1", False),
        ("fd00::1\n", False),
        ("FD00::1", False),
        ("fd00::01", False),
        ("fd00:0:1::1", False),
    ],
)
def test_which_ipv6_goes_the_quick_way(text: str, expected: bool) -> None:
    assert is_ordinary_ipv6(text) is expected
