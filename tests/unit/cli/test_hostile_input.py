"""Whatever the input: an exit status of ours, no traceback, and no rule made of unchecked text."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeport_rules.iptables.compile import ruleset_faults
from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.kernel import iptables_tools
from nodeport_rules.kernel.namespaces import NetworkNamespace, ensure_network_namespaces
from tests.running import Finished, run
from tests.unit.cli.objects import Object, as_text, node

HOSTILE = [
    'web" -j ACCEPT',
    "web\n-A INPUT -j ACCEPT",
    "web\r\n*filter",
    "web\\",
    "$(reboot)",
    "`reboot`",
    "web; reboot",
    "web'",
    "-jACCEPT",
    "web\x1b[31m",
    "web\x00",
    "..",
    "wéb",
    "web\u2028COMMIT",
    "web " * 30,
]


def everything() -> list[Object]:
    """Sound objects of every kind that is read, with most of their fields."""
    labels = {"app": "web"}
    containers = [{"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}]
    dual: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "web"},
            "annotations": {"example.com/note": "x"},
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1", "fd00:10:96::1"],
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080},
                {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
            ],
            "selector": labels,
            "externalIPs": ["203.0.113.1", "2001:db8::1"],
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Cluster",
            "healthCheckNodePort": 32000,
            "loadBalancerSourceRanges": ["192.0.2.0/24", "2001:db8::/32"],
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 600}},
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9", "ipMode": "VIP"}]}},
    }
    pods: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "api-0", "labels": {"app": "api"}},
        "spec": {"nodeName": "node-1", "hostNetwork": True, "containers": containers},
        "status": {
            "phase": "Running",
            "podIP": "10.244.1.9",
            "podIPs": [{"ip": "10.244.1.9"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    api: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "api"},
        "spec": {"selector": {"app": "api"}, "ports": [{"port": 8080}]},
    }
    ready: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "ready"},
        "spec": {"type": "NodePort", "ports": [{"port": 443}], "internalTrafficPolicy": "Local"},
    }
    slices: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "ready-1", "labels": {"kubernetes.io/service-name": "ready"}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 443, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": ["10.244.1.20"],
                "nodeName": "node-1",
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "hints": {"forZones": [{"name": "a"}], "forNodes": [{"name": "node-1"}]},
            },
            {"addresses": ["10.244.2.20"], "nodeName": "node-2", "zone": "b"},
        ],
    }
    outside: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "outside"},
            "spec": {"ports": [{"port": 3306}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "outside"},
            "subsets": [{"addresses": [{"ip": "203.0.113.33"}], "ports": [{"port": 3306}]}],
        },
    ]
    cidr: Object = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": ["10.96.0.0/12", "fd00:10:96::/108"]},
    }
    nodes = [node("node-1", "192.168.1.1", "10.244.1.0/24"), node("node-2", "192.168.1.2")]
    return [dual, pods, api, pod, ready, slices, *outside, cidr, *nodes]


Path = tuple[Any, ...]
"""Keys of mappings and indexes of lists, from the outside in."""


def paths_of(value: Any, before: Path = ()) -> Iterator[Path]:
    """The way to everything inside a value."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, one in inner:
        yield (*before, key)
        yield from paths_of(one, (*before, key))


def holder_of(value: Any, path: Path) -> Any:
    """The mapping or list that holds what the path leads to; LookupError when nothing is there."""
    for step in path[:-1]:
        if not isinstance(value, dict | list):
            raise LookupError
        value = value[step]
    if not isinstance(value, dict | list):
        raise LookupError
    value[path[-1]]
    return value


PATHS = list(paths_of(everything()))

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 80, 30080, 65535, 65536, 2**31, 2**63, 10**30, 0.5, 1e400, 8080.0]),
    st.sampled_from(
        [*HOSTILE, "", "80", "None", "Local", "10.0.0.1", "::", "0.0.0.0/0", "a" * 300]
    ),
    st.sampled_from([[], {}, [None], [{}], {"a": None}, [[]], ["10.0.0.1"], {"name": "x"}]),
    st.text(max_size=20),
)


@st.composite
def mutated(draw: st.DrawFn) -> list[Object]:
    """The sound objects with a few places in them gone, doubled, or replaced by something else."""
    objects = everything()
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(PATHS))
        try:
            place = holder_of(objects, path)
        except (LookupError, TypeError):
            continue  # an earlier change took it away
        action = draw(st.sampled_from(["delete", "replace", "replace", "replace", "repeat"]))
        if action == "delete":
            del place[path[-1]]
        elif action == "repeat" and isinstance(place, list):
            place.append(copy.deepcopy(place[path[-1]]))
        else:
            place[path[-1]] = draw(junk)
    return [one for one in objects if isinstance(one, dict)] or everything()


def check(finished: Finished) -> None:
    """What holds for every run."""
    assert finished.status in (0, 1, 2)
    assert "Traceback" not in finished.stderr
    if finished.status == 2:
        assert finished.stdout == ""
        assert finished.said("error")
        return
    assert bool(finished.said("error")) is (finished.status == 1)
    head4, head6 = "# iptables-restore --noflush\n", "# ip6tables-restore --noflush\n"
    first, second = finished.stdout.removeprefix(head4).split(head6)
    for text, program in ((first, "iptables"), (second, "ip6tables")):
        assert ruleset_faults(parse_rules(text, program)) == []


def render(objects: list[Object], *more: str, as_yaml: bool = False) -> Finished:
    arguments = ("render", "-f", "-", "--family", "dual", "--node", "node-1", *more)
    text = yaml.safe_dump_all(objects) if as_yaml else as_text(*objects)
    return run(*arguments, stdin=text.encode("utf-8", "surrogatepass"))


def test_the_objects_are_sound_before_anything_is_changed() -> None:
    finished = render(everything()).expect(0)
    check(finished)
    assert finished.stdout.count("-j DNAT") == 12


@given(objects=mutated(), keep_going=st.booleans(), as_yaml=st.booleans())
@settings(max_examples=300, deadline=None, database=None, derandomize=True)
def test_no_change_of_the_input_gets_past_the_checks(
    objects: list[Object], keep_going: bool, as_yaml: bool
) -> None:
    check(render(objects, *(["--keep-going"] if keep_going else []), as_yaml=as_yaml))


@given(objects=mutated())
@settings(max_examples=60, deadline=None, database=None, derandomize=True)
def test_the_kernel_takes_whatever_is_printed(objects: list[Object]) -> None:
    finished = render(objects, "--keep-going")
    check(finished)
    if finished.status == 2:
        return
    ensure_network_namespaces()
    first, second = finished.stdout.split("# ip6tables-restore --noflush\n")
    with NetworkNamespace.create("hostile input") as namespace:
        iptables_tools.restore("ipv4", first, namespace=namespace)
        iptables_tools.restore("ipv6", second, namespace=namespace)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_reaches_no_rule_wherever_it_stands(hostile: str) -> None:
    for path in PATHS:
        objects = everything()
        place = holder_of(objects, path)
        if not isinstance(place[path[-1]], str):
            continue
        place[path[-1]] = hostile
        finished = render(objects, "--keep-going")
        check(finished)
        for line in finished.stdout.splitlines():
            assert hostile not in line, (path, line)
            assert line.startswith(("-A KUBE-", "-I ", ":KUBE-", "*", "COMMIT", "# ip")), (
                path,
                line,
            )
            assert line.count('"') % 2 == 0, (path, line)
        for line in finished.stderr.splitlines():
            assert line.startswith(("error: ", "warning: ", "assumed: ", "note: ")), (path, line)
            assert line.isprintable(), (path, line)


@given(text=st.one_of(st.text(max_size=200), st.binary(max_size=200)))
@settings(max_examples=200, deadline=None, database=None, derandomize=True)
def test_no_input_at_all_makes_a_traceback(text: str | bytes) -> None:
    given_bytes = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    check(run("render", "-f", "-", "--family", "dual", stdin=given_bytes))


@given(data=st.data())
@settings(max_examples=200, deadline=None, database=None, derandomize=True)
def test_no_text_with_bytes_changed_makes_a_traceback(data: st.DataObject) -> None:
    text = bytearray(json.dumps({"kind": "List", "items": everything()}, indent=1).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    check(run("render", "-f", "-", "--family", "dual", "--node", "node-1", stdin=bytes(text)))


CONFIGURATION: Object = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
    "hostnameOverride": "node-1",
    "bindAddress": "192.168.1.1",
    "clusterCIDR": "10.244.0.0/16,fd00:10:244::/48",
    "detectLocalMode": "InterfaceNamePrefix",
    "detectLocal": {"bridgeInterface": "cni0", "interfaceNamePrefix": "veth"},
    "nodePortAddresses": ["192.168.0.0/16", "127.0.0.0/8"],
    "featureGates": {"AllowServiceExternalIPs": True},
    "iptables": {
        "masqueradeBit": 14,
        "masqueradeAll": False,
        "localhostNodePorts": True,
        "syncPeriod": "30s",
    },
    "conntrack": {"tcpBeLiberal": False, "tcpCloseWaitTimeout": "1h0m0s"},
}
CONFIGURATION_PATHS = list(paths_of(CONFIGURATION))


@given(path=st.sampled_from(CONFIGURATION_PATHS), value=junk)
@settings(max_examples=200, deadline=None, database=None, derandomize=True)
def test_no_change_of_the_configuration_gets_past_the_checks(path: Path, value: Any) -> None:
    configuration = copy.deepcopy(CONFIGURATION)
    holder_of(configuration, path)[path[-1]] = value
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(configuration, file)
        file.flush()
        check(render(everything(), "--config", file.name))
