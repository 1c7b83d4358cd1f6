"""States that are about endpoints: readiness, topology, slices that disagree, order, number."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from state import NODE, ZONE, State, endpoint, node, port, ready, slice_port

Object = dict[str, Any]

_LOCAL: Object = {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}


def _kinds() -> dict[str, Object]:
    """One endpoint of every kind that a policy can tell apart, by a short name."""
    going: Object = {"ready": False, "terminating": True}
    made: dict[str, Object] = {}
    for place, prefix, on in (("here", "10.244.0", NODE), ("there", "10.244.1", "node-2")):
        made[f"{place}-ready"] = endpoint(f"{prefix}.1", on)
        made[f"{place}-leaving"] = endpoint(f"{prefix}.2", on, serving=True, **going)
        made[f"{place}-gone"] = endpoint(f"{prefix}.3", on, serving=False, **going)
    return made


def _policies() -> Iterator[State]:
    """Endpoints of every kind, alone and in pairs, under every pair of traffic policies."""
    kinds = _kinds()
    pairs = [pair for pair in combinations(kinds, 2) if "there-gone" not in pair]
    mixes = [[], *([k] for k in kinds), *(list(pair) for pair in pairs)]
    for inside in ("Cluster", "Local"):
        for outside in ("Cluster", "Local"):
            state = State(f"policies-{inside.lower()}-{outside.lower()}")
            for mix in mixes:
                name = "-".join(word[0] + word.split("-")[1][0] for word in mix) or "none"
                name = f"{name}-{len(state.items)}"
                policies: Object = {
                    "internalTrafficPolicy": inside,
                    "externalTrafficPolicy": outside,
                }
                state.service(name, None, "NodePort", **policies)
                if mix:
                    state.slice(name, [kinds[word] for word in mix])
            yield state


def _policies_inside() -> State:
    """Internal policy Local where nothing comes from outside, and external policy on its own."""
    kinds = _kinds()
    state = State("policies-inside")
    mixes = [[k] for k in kinds] + [["here-leaving", "there-ready"], ["here-gone", "there-leaving"]]
    for number, mix in enumerate(mixes):
        name = f"in-{number}"
        state.service(name, internalTrafficPolicy="Local")
        state.slice(name, [kinds[word] for word in mix])
        name = f"out-{number}"
        address = f"198.51.100.{number}"
        state.service(name, externalTrafficPolicy="Local", externalIPs=[address])
        state.slice(name, [kinds[word] for word in mix])
    return state


def _conditions() -> State:
    """Conditions that are absent or that seldom meet."""
    state = State("conditions")
    number = 0
    for is_ready in (None, True, False):
        for serving in (None, True, False):
            for terminating in (None, True, False):
                number += 1
                name = f"c-{number:02d}"
                state.service(name, **(_LOCAL if number % 2 else {}), externalIPs=["198.51.100.1"])
                state.items[-1]["spec"]["ports"] = [port(1000 + number)]
                states: Object = {"ready": is_ready, "serving": serving, "terminating": terminating}
                state.slice(name, [endpoint(f"10.244.0.{number}", **states)])
    state.service("without-conditions", **_LOCAL, externalIPs=["198.51.100.2"])
    bare = endpoint("10.244.0.99")
    bare.pop("conditions")
    state.slice("without-conditions", [bare, endpoint("10.244.0.98", on=None)])
    return state


def _hint_mixes() -> list[list[Object]]:
    """Lists of endpoints whose hints agree, lack, or contradict."""

    def here(last: int, **more: Any) -> Object:
        return endpoint(f"10.244.0.{last}", **more)

    def there(last: int, **more: Any) -> Object:
        return endpoint(f"10.244.1.{last}", "node-2", **more)

    waiting: Object = {"ready": False, "serving": False}
    leaving: Object = {"ready": False, "serving": True, "terminating": True}
    a, b, ab = [ZONE], ["zone-b"], [ZONE, "zone-b"]
    return [
        [here(1, zones=a), there(2, zones=b)],
        [here(1, zones=a), there(2)],
        [here(1, zones=a), there(2, zones=b), there(3, **waiting)],
        [here(1, zones=a), there(2, zones=b), there(3, **leaving)],
        [here(1, zones=b), there(2, zones=b)],
        [here(1, zones=ab), there(2, zones=ab), there(3, zones=b)],
        [here(1, zones=a, nodes=[NODE]), there(2, zones=a, nodes=["node-2"]), there(3, zones=b)],
        [here(1, zones=a, nodes=[NODE]), there(2, zones=a, nodes=["node-2"])],
        [here(1, nodes=["node-2"]), there(2, nodes=[NODE])],
        [here(1, nodes=["node-2"]), there(2, nodes=["node-2"])],
        [here(1, nodes=["node-2"], zones=a), there(2, nodes=["node-3"], zones=b)],
        [here(1, nodes=[NODE]), there(2, nodes=["node-2"]), there(3, **waiting)],
        [here(1, nodes=[NODE]), there(2, zones=a)],
        [here(1, nodes=[NODE], zones=a), there(2, zones=a), there(3, zones=b)],
        [here(1, zones=a, **waiting), there(2, zones=b), there(3, zones=b)],
        [here(1, zones=a, **leaving), there(2, zones=b)],
        [here(1, zones=a, **leaving), there(2, zones=b, **leaving)],
        [here(1, nodes=[NODE], **leaving), there(2, nodes=["node-2"], **leaving)],
        [here(1, zones=[]), there(2, zones=a)],
        [here(1, zones=b), there(2, zones=a)],
        [there(1, zones=b), there(2, zones=a)],
    ]


def _topology(name: str, of_node: Object | None = None, mixes: int | None = None) -> State:
    state = State(f"topology-{name}", of_node=of_node)
    for number, endpoints in enumerate(_hint_mixes()[:mixes]):
        service = f"hints-{number:02d}"
        spec: Object = {}
        if name == "mixes":
            spec["externalTrafficPolicy"] = "Local"
        if number % 3 == 0:
            spec["trafficDistribution"] = "PreferSameZone" if number % 2 else "PreferSameNode"
        state.service(service, None, "NodePort" if name == "mixes" else "ClusterIP", **spec)
        state.slice(service, endpoints)
    return state


def _topology_internal_local() -> State:
    state = State("topology-internal-local")
    for number, endpoints in enumerate(_hint_mixes()):
        service = f"hints-{number:02d}"
        outside: Object = {"externalIPs": [f"198.51.100.{number}"]} if number % 2 else {}
        state.service(service, internalTrafficPolicy="Local", **outside)
        state.slice(service, endpoints)
    return state


def _slice_ports() -> State:
    """Slice ports that do or do not meet the Service's."""
    state = State("slice-ports")
    ports = [port(80, "a"), port(81, "b"), port(82, "c", "UDP")]
    address = ready("10.244.0.5")
    for number, feet in enumerate(
        (
            [slice_port(8080, "a"), slice_port(8081, "b"), slice_port(8082, "c", "UDP")],
            [slice_port(8080, "b"), slice_port(8081, "c"), slice_port(8082, "a", "UDP")],
            [slice_port(8080, "other")],
            [slice_port(None, "a"), slice_port(8081, "b")],
            [slice_port(0, "a"), slice_port(8081, "b")],
            [slice_port(8080, None)],
            [],
            [slice_port(8080, "a"), slice_port(8080, "b")],
            [{"port": 8080, "name": "a"}],
        )
    ):
        state.service(f"named-{number}", ports, "NodePort")
        state.slice(f"named-{number}", address, feet)
    for number, feet in enumerate(
        ([slice_port(8080, "a")], [slice_port(8080, None)], [slice_port(8080, "", "UDP")])
    ):
        state.service(f"unnamed-{number}")
        state.slice(f"unnamed-{number}", address, feet)
    state.service("ports-by-slice", ports)
    state.slice("ports-by-slice", address, [slice_port(8080, "a")])
    state.slice("ports-by-slice", ready("10.244.0.6"), [slice_port(9090, "a")])
    state.slice("ports-by-slice", ready("10.244.0.7"), [slice_port(9090, "b")])
    state.service("wrong-family")
    state.slice("wrong-family", ready("fd00:10:244::5"), family="IPv6")
    state.slice("wrong-family", [endpoint("pod.example.net")], family="FQDN")
    state.service("several-addresses")
    several = endpoint("10.244.0.5")
    several["addresses"] = ["10.244.0.9", "10.244.0.5", "10.244.0.7"]
    state.slice("several-addresses", [several])
    state.service("none-at-all")
    state.slice("none-at-all", [])
    return state


def _duplicates() -> State:
    """The same ip:port more than once; only where kube-proxy's choice is not left to chance."""
    state = State("duplicates-more")
    leaving: Object = {"ready": False, "serving": True, "terminating": True}
    gone: Object = {"ready": False, "serving": False, "terminating": True}
    other = endpoint("10.244.1.6", "node-2")
    here, there = endpoint("10.244.0.5"), endpoint("10.244.0.5", "node-2")
    for number, slices in enumerate(
        (
            [[here], [endpoint("10.244.0.5", **leaving)]],
            [[endpoint("10.244.0.5", **leaving)], [here]],
            [[endpoint("10.244.0.5", **gone)], [here, other]],
            [[endpoint("10.244.0.5", "node-2", **leaving)], [here]],
            [[endpoint("10.244.0.5", **leaving)], [there]],
            [[endpoint("10.244.0.5", ready=False)], [endpoint("10.244.0.5", **leaving)]],
            [[endpoint("10.244.0.5", ready=False)], [endpoint("10.244.0.5", **leaving)], [other]],
            [[here], [here], [here]],
            [[endpoint("10.244.0.5", **leaving)], [endpoint("10.244.0.5", **leaving)]],
            [[here, here]],
            [[here, there]],
            [[there, here]],
            [[endpoint("10.244.0.5", **leaving), here]],
            [[here, endpoint("10.244.0.5", **leaving)]],
            [[here, endpoint("10.244.0.5", ready=False)]],
            [[endpoint("10.244.0.5", ready=False), here]],
            [[endpoint("10.244.0.5", **leaving), endpoint("10.244.0.5", **gone)]],
            [[endpoint("10.244.0.5", **gone), endpoint("10.244.0.5", **leaving)]],
        )
    ):
        name = f"dup-{number:02d}"
        state.service(name, None, "NodePort", **(_LOCAL if number % 2 else {}))
        for part, endpoints in enumerate(slices):
            state.slice(name, endpoints, name=f"{name}-{part}")
    state.service("shared", [port(80, "a"), port(81, "b")])
    state.slice("shared", [here], [slice_port(8080, "a"), slice_port(8080, "b")])
    return state


def _order() -> State:
    state = State("endpoint-order")
    last = (9, 10, 100, 2, 20, 200, 1, 11)
    state.service("v4", [port(80, "a"), port(81, "b")], "NodePort")
    feet = [slice_port(80, "a"), slice_port(8080, "b")]
    state.slice("v4", ready(*(f"10.244.0.{n}" for n in last)), feet)
    state.slice("v4", ready("10.24.40.1", "10.244.10.1", "9.9.9.9", "110.1.1.1"), feet)
    state.service("one-ip")
    for number in (80, 8080, 9, 443, 10000):
        state.slice("one-ip", ready("10.244.0.1"), [slice_port(number)])
    state.service("v6", families=("IPv6",))
    v6 = (f"fd00:10:244::{n}" for n in ("9", "10", "a", "1:1", "ff", "f"))
    state.slice("v6", ready(*v6), family="IPv6")
    state.slice("v6", ready("fd00:10:244:1::", "fd00:10::1", "2001:db8::1"), family="IPv6")
    return state


def _large(name: str, v4: int, v6: int, waiting: int = 0) -> State:
    """This many endpoints in total, few of them usable; 10 ports count each endpoint 10 times."""
    state = State(f"large-{name}")
    names = [f"p{n}" for n in range(10)]
    feet = [slice_port(8000 + n, one) for n, one in enumerate(names)]
    for family, total in (("IPv4", v4), ("IPv6", v6)):
        service = f"wide-{family.lower()}"
        prefix = "10.244.0." if family == "IPv4" else "fd00:10:244::"
        ports = [port(80 + n, one, target=8000 + n) for n, one in enumerate(names)]
        state.service(service, ports, families=(family,))
        idle: Object = {"ready": False, "serving": False}
        tens = [endpoint(f"{prefix}{n}", **idle) for n in range(100, 100 + (total - 1) // 10 - 1)]
        state.slice(service, [endpoint(f"{prefix}1"), *tens], feet, family=family)
        rest = total - 10 * (1 + len(tens))
        single = f"narrow-{family.lower()}"
        state.service(single, families=(family,))
        few = [
            endpoint(f"{prefix}{n}", **(idle if n <= waiting else {})) for n in range(1, rest + 1)
        ]
        state.slice(single, few, family=family)
    return state


def cases() -> Iterator[State]:
    """All of them."""
    yield from _policies()
    yield _policies_inside()
    yield _conditions()
    yield _topology("mixes")
    bare = node(labels={"kubernetes.io/hostname": NODE})
    yield _topology("no-zone", bare, 9)
    yield _topology_internal_local()
    yield _slice_ports()
    yield _duplicates()
    yield _order()
    yield _large("1000", 1000, 1001)
    yield _large("1001", 1001, 1000)
    yield _large("waiting", 1001, 1000, waiting=3)
