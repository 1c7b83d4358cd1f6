"""Our iptables rules and our nftables rules for the same objects: alike but for named differences.

For every recording, and for random states.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeport_rules.iptables.compile import compile_ruleset as iptables_ruleset
from nodeport_rules.iptables.meaning import meaning_of as iptables_meaning
from nodeport_rules.kube.load import load
from nodeport_rules.kube.objects import EndpointSlice, Service
from nodeport_rules.kube.proxy_configuration import (
    NFTablesSection,
    ProxyConfiguration,
    read_configuration,
)
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.kube.yaml_documents import yaml_documents
from nodeport_rules.model.family import Family
from nodeport_rules.model.node import family_state, node_settings, plan_node
from nodeport_rules.model.options import Backend, proxy_options
from nodeport_rules.nftables.compile import compile_ruleset as nftables_ruleset
from nodeport_rules.nftables.meaning import meaning_of as nftables_meaning
from nodeport_rules.report.mode_differences import DIFFERENCES, ModeFacts, in_nftables_mode
from nodeport_rules.ruleset.equivalence import compare, way_of
from nodeport_rules.ruleset.packet import Host
from tests.conformance.test_equal import HOST, RECORDINGS, SERVICE_CIDRS, WORDS
from tests.unit.build import endpoint, endpoint_slice, node, service, snapshot

STATES = sorted(path.parent.name for path in RECORDINGS.glob("*/config.iptables.yaml"))


def configuration_for_both(configuration: ProxyConfiguration) -> ProxyConfiguration:
    """The same settings for both modes, whichever section they stand in."""
    section = configuration.iptables
    if section is None:
        return configuration
    same = NFTablesSection(
        masquerade_bit=section.masquerade_bit, masquerade_all=section.masquerade_all
    )
    return msgspec.structs.replace(configuration, nftables=same)


def unexplained(
    objects: Snapshot, configuration: ProxyConfiguration, family: Family, host: Host
) -> tuple[list[str], Counter[str]]:
    """Differences that have no name, and how often each named one applied."""
    both = configuration_for_both(configuration)
    here = {one.name: one for one in objects.nodes}.get("node-1")
    settings_of, plans_of = {}, {}
    for backend in Backend:
        options, faults = proxy_options(both, backend=backend, service_cidrs=SERVICE_CIDRS)
        assert faults == []
        state = family_state(objects, family, options)
        settings_of[backend] = node_settings(options, family, "node-1", here)
        plans_of[backend] = plan_node(state, settings_of[backend])
    iptables = iptables_ruleset(
        plans_of[Backend.IPTABLES], settings_of[Backend.IPTABLES], state.total_endpoints
    )
    nftables = nftables_ruleset(
        plans_of[Backend.NFTABLES],
        settings_of[Backend.NFTABLES],
        service_cidrs=state.service_cidrs,
        other_cluster_ips=state.other_cluster_ips,
    )
    word = WORDS[family]
    found = compare(iptables_meaning(iptables, word), nftables_meaning(nftables, word), host)
    assert found.not_understood == ()
    facts = ModeFacts(
        plans_of[Backend.IPTABLES],
        settings_of[Backend.IPTABLES],
        settings_of[Backend.NFTABLES],
        host,
        state.service_cidrs,
        state.other_cluster_ips,
    )
    rest, applied = [], Counter[str]()
    for one in found.differences:
        outcomes, names = in_nftables_mode(one.packet, facts, one.one)
        if way_of(outcomes) == way_of(one.other):
            applied.update(names)
        else:
            rest.append(f"{one.packet}: {sorted(way_of(one.one))} or {sorted(way_of(one.other))}")
    return rest, applied


def recorded(state: str) -> tuple[Snapshot, ProxyConfiguration]:
    folder = RECORDINGS / state
    (document,) = yaml_documents((folder / "config.iptables.yaml").read_text())
    loaded = load([str(folder / "objects.json")])
    return loaded.snapshot, read_configuration(document.value, "").configuration


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES)
def test_recorded_states(state: str, family: Family) -> None:
    rest, _ = unexplained(*recorded(state), family, HOST)
    assert rest[:5] == []


def test_every_named_difference_applies_somewhere() -> None:
    states = ["no-endpoints", "etp-local-no-local", "extra-nodeport-two-each"]
    states += ["extra-health-check-ports", "extra-source-ranges-more"]
    host = Host(frozenset({*HOST.local_addresses, "192.168.1.101"}))
    applied = Counter[str]()
    for state in states:
        applied += unexplained(*recorded(state), Family.IPV4, host)[1]
    assert set(DIFFERENCES) - set(applied) == set()


# ------------------------------------------------------------------------------ random states

ADDRESSES = st.sampled_from(["10.244.0.5", "10.244.0.6", "10.244.1.7", "10.244.2.8", "172.16.0.9"])
POLICY = st.sampled_from(["Cluster", "Local"])
ENDPOINTS = st.builds(
    endpoint,
    ADDRESSES,
    node=st.sampled_from(["node-1", "node-2", None]),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
    zones=st.sampled_from([(), ("zone-a",), ("zone-b",)]),
)


@st.composite
def services(draw: st.DrawFn, number: int) -> tuple[Service, EndpointSlice]:
    protocol = draw(st.sampled_from(["TCP", "UDP", "SCTP"]))
    port: dict[str, Any] = {"port": draw(st.sampled_from([80, 443])), "protocol": protocol}
    if draw(st.booleans()):
        port["nodePort"] = 30000 + number
    fields: dict[str, Any] = {
        "type": "LoadBalancer",
        "clusterIP": f"10.96.0.{number + 10}",
        "ports": [port],
        "externalTrafficPolicy": draw(POLICY),
        "internalTrafficPolicy": draw(POLICY),
    }
    if draw(st.booleans()):
        fields["externalIPs"] = [f"203.0.113.{number + 10}"]
    if draw(st.booleans()):
        fields["ingress"] = [{"ip": f"203.0.113.{number + draw(st.sampled_from([10, 100]))}"}]
        ranges = st.sampled_from(
            ["198.51.100.0/24", "192.168.1.0/24", "10.244.0.0/24", "10.244.2.8/32", "0.0.0.0/0"]
        )
        fields["loadBalancerSourceRanges"] = draw(st.lists(ranges, max_size=3))
    if draw(st.booleans()):
        fields["healthCheckNodePort"] = 31000 + number
    if draw(st.booleans()):
        fields["sessionAffinity"] = "ClientIP"
    one = service(f"s{number}", **fields)
    found = draw(st.lists(ENDPOINTS, max_size=4, unique_by=lambda e: e["addresses"][0]))
    ports = [{"name": "", "port": 8080, "protocol": protocol}]
    return one, endpoint_slice(*found, name=f"s{number}-1", service=f"s{number}", ports=ports)


CONFIGURATIONS = st.fixed_dictionaries(
    {},
    optional={
        "clusterCIDR": st.sampled_from(["", "10.244.0.0/16", "10.244.0.0/24"]),
        "nodePortAddresses": st.sampled_from(
            [[], ["primary"], ["0.0.0.0/0"], ["192.168.1.0/24"], ["127.0.0.0/8"]]
        ),
        "iptables": st.fixed_dictionaries(
            {}, optional={"masqueradeAll": st.booleans(), "localhostNodePorts": st.booleans()}
        ),
        "conntrack": st.fixed_dictionaries({"tcpBeLiberal": st.booleans()}),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 3), CONFIGURATIONS)
def test_random_states(data: st.DataObject, count: int, fields: dict[str, Any]) -> None:
    objects: list[Service | EndpointSlice] = []
    for number in range(count):
        objects.extend(data.draw(services(number)))
    state = snapshot(node(), *objects)
    configuration = msgspec.convert(fields, ProxyConfiguration)
    rest, _ = unexplained(state, configuration, Family.IPV4, HOST)
    assert rest[:3] == []
