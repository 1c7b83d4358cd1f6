"""Explained packets through our rules beside the same packets through kube-proxy's recorded ones.

Each of them in each mode: the ends, their shares, masquerading. And what the objects are said to
call for is where the rules lead to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from nodeport_rules.cli import explain_packets as packets
from nodeport_rules.cli import rules_input
from nodeport_rules.cli.compilation import Compilation
from nodeport_rules.cli.flags import CompileFlags
from nodeport_rules.cli.resolve import load_compilation
from nodeport_rules.model.family import Family, of_family
from nodeport_rules.model.options import Backend
from nodeport_rules.model.reasons import asked_for, why
from nodeport_rules.report.explanation import explanation
from nodeport_rules.ruleset.meaning import RulesMeaning
from nodeport_rules.ruleset.packet import Ending, Host, Outcome, Packet, is_loopback
from nodeport_rules.ruleset.trace import Tracer

RECORDINGS = Path(__file__).parent.parent.parent / "conformance" / "recordings"
STATES = sorted(folder.name for folder in RECORDINGS.iterdir() if folder.is_dir())
DUMPS = {
    (Backend.IPTABLES, Family.IPV4): "iptables.save",
    (Backend.IPTABLES, Family.IPV6): "ip6tables.save",
    (Backend.NFTABLES, Family.IPV4): "nftables.ip.nft",
    (Backend.NFTABLES, Family.IPV6): "nftables.ip6.nft",
}
CASES = [
    (state, backend)
    for state in STATES
    for backend in Backend
    if (RECORDINGS / state / f"config.{backend}.yaml").exists()
]
HOST = ("192.168.1.100", "2001:db8:1::100")
POD_CIDRS = {Family.IPV4: "10.244.0.0/16", Family.IPV6: "fd00:10:244::/48"}
MOST_SERVICE_PORTS = 40
SERVICE_CIDRS = "10.96.0.0/16,fd00:10:96::/112"

Ends = dict[tuple[Ending, str, int, bool], float]


def compiled(state: str, backend: Backend) -> Compilation:
    folder = RECORDINGS / state
    given = CompileFlags(
        filename=[str(folder / "objects.json")],
        config=folder / f"config.{backend}.yaml",
        service_cidr=SERVICE_CIDRS,
        node_address=list(host_addresses(state)),
    )
    return load_compilation(given, backend.value, [])


def host_addresses(state: str) -> tuple[str, ...]:
    """What the host had on which kube-proxy was recorded."""
    path = RECORDINGS / state / "host.yaml"
    if not path.exists():
        return HOST
    found = [one.partition("/")[0] for one in yaml.safe_load(path.read_text())["addresses"]]
    return tuple(one for one in found if not is_loopback(one))


def ends(outcomes: list[Outcome]) -> Ends:
    found: Ends = {}
    for one in outcomes:
        stays = one.ending in (Ending.TRANSLATED, Ending.PASSED)
        place = (one.address, one.port, one.masqueraded) if stays else ("", 0, False)
        found[one.ending, *place] = found.get((one.ending, *place), 0.0) + one.share
    return {key: round(share, 5) for key, share in found.items()}


def place_of(compilation: Compilation, state: str, family: Family) -> packets.Place:
    settings = compilation.settings(compilation.choose_node(), family)
    addresses = of_family(host_addresses(state), family)
    return packets.Place(family, addresses, settings, POD_CIDRS[family])


def probes(compilation: Compilation, place: packets.Place) -> Iterator[tuple[Packet, str]]:
    """From outside, a pod and the node, to every address and port of the Services and some more."""
    state = compilation.state(place.family)
    endpoints = [one for having in state.endpoints.values() for one in having]
    targets = {packets.Target(place.addresses[0], "tcp", 9)}
    for port in state.ports[:MOST_SERVICE_PORTS]:
        addresses = (port.cluster_ip, *port.external_ips, *port.load_balancer_ips)
        targets.update(packets.Target(ip, port.protocol, port.port) for ip in addresses if ip)
        if port.node_port:
            targets.add(packets.Target(place.addresses[0], port.protocol, port.node_port))
    hairpins = [one.ip for one in endpoints[:2] if not place.is_local(one.ip)]
    for target in sorted(targets, key=str):
        for source in ("", "pod", "node", *hairpins):
            packet, origin = packets.packet_to(target, place, source, "", endpoints)
            yield packet, origin.value


@pytest.mark.parametrize(("state", "backend"), CASES)
def test_ours_and_kube_proxys(state: str, backend: Backend) -> None:
    compilation = compiled(state, backend)
    for family in Family:
        dump = rules_input.meaning_from_dump(str(RECORDINGS / state / DUMPS[backend, family]))
        node = compilation.choose_node()
        ours = rules_input.meaning_from_compilation(compilation, node, family)
        place = place_of(compilation, state, family)
        host = Host(frozenset(place.addresses))
        recorded_tracer, our_tracer = Tracer(dump[family], host), Tracer(ours, host)
        for packet, origin in probes(compilation, place):
            recorded, own = recorded_tracer.trace(packet), our_tracer.trace(packet)
            assert ends(own) == ends(recorded), packet
            assert_explained(compilation, place, packet, origin, ours, own)


def assert_explained(
    compilation: Compilation,
    place: packets.Place,
    packet: Packet,
    origin: str,
    rules: RulesMeaning,
    outcomes: list[Outcome],
) -> None:
    """Where the objects call for endpoints the rules lead to them, and to no others."""
    state = compilation.state(place.family)
    local = place.is_local(packet.destination)
    asked = asked_for(state.ports, packet.destination, packet.protocol, packet.port, is_local=local)
    translated = any(one.ending is Ending.TRANSLATED for one in outcomes)
    if asked is None:
        assert not translated, packet
        return
    having = state.endpoints.get(asked.port.key, ())
    reasons = why(asked, having, place.settings, packets.arrival_of(packet))
    explained = explanation(
        packet, outcomes, rules, origin=origin, node="node-1", rules_from="", why=reasons
    )
    assert (explained.lost, explained.strange) == ((), ()), packet
    twice = {*asked.port.external_ips} & {*asked.port.load_balancer_ips}
    if packet.destination not in twice:
        # As an external IP it is open to sources that it is closed to as a load balancer's.
        assert translated is not bool(reasons.changes), (packet, reasons)
    assert len(reasons.used) + len(reasons.left_out) == len(having)
    assert sum(end.share for end in explained.ends) == pytest.approx(1)
