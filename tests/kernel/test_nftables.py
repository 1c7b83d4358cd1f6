"""The nftables table on real connections: shares, counters, affinity, and looking at it live."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from nodeport_rules.cli.compilation import Compilation, compile_sources, require_sound, rules_text
from nodeport_rules.kernel import iptables_tools, nft_tools
from nodeport_rules.kernel.iptables_tools import Family
from nodeport_rules.kernel.sandbox import Sandbox
from nodeport_rules.kernel.sandbox.traffic import Target
from nodeport_rules.kube.assume import AssumeSettings
from nodeport_rules.model import family as model_family
from nodeport_rules.model.options import Backend, ProxyOptions
from nodeport_rules.report.shares import compare_shares, even_shares
from tests.running import run

from .cluster import (
    CROWD,
    NODES,
    SERVICES,
    TARGET_PORT,
    node_address,
    objects,
    pod_address,
    pod_name,
    topology,
)

WORDS: dict[Family, nft_tools.TableFamily] = {"ipv4": "ip", "ipv6": "ip6"}
PER_ENDPOINT = 300
LEAST_PROBABILITY = 1e-9
"""Of chance alone; a share that is wrong is far below, and a right one never."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nftables") / "objects.json"
    path.write_text(json.dumps(objects()))
    return path


@pytest.fixture(scope="module")
def compilation(source: Path) -> Compilation:
    options = ProxyOptions(
        cluster_cidrs={
            model_family.Family.IPV4: "10.244.0.0/16",
            model_family.Family.IPV6: "fd00:10:244::/48",
        },
        node_port_primary=True,
        localhost_node_ports=False,
    )
    found = compile_sources([str(source)], options, AssumeSettings(), backend=Backend.NFTABLES)
    require_sound(found)
    return found


@pytest.fixture(scope="module")
def sandbox(compilation: Compilation) -> Iterator[Sandbox]:
    with Sandbox(topology()) as running:
        for pod in running.topology.pods:
            running.serve(pod.name, "tcp", TARGET_PORT)
        load(running, compilation)
        yield running


def load(sandbox: Sandbox, compilation: Compilation) -> None:
    for node in NODES:
        for family in model_family.BOTH_FAMILIES:
            text = rules_text(compilation.rules(node, family))
            nft_tools.load(text, namespace=sandbox.namespace(node))


def listing(sandbox: Sandbox, node: str, family: Family) -> str:
    namespace = sandbox.namespace(node)
    return nft_tools.list_table(WORDS[family], "nodeport-rules", namespace=namespace)


def connections_counted(text: str, addresses: list[str]) -> Counter[str]:
    """What the counters of the endpoints' elements add up to, by address."""
    counted: Counter[str] = Counter()
    for packets, address in re.findall(r"counter packets (\d+) bytes \d+ : (\S+) \. \d+", text):
        if address in addresses:
            counted[address] += int(packets)
    return counted


@pytest.mark.parametrize("family", get_args(Family))
@pytest.mark.parametrize("size", [1, 3, 7, 30])
def test_shares_are_even_and_counted(
    sandbox: Sandbox, compilation: Compilation, size: int, family: Family
) -> None:
    service = SERVICES[f"share-{size}"]
    load(sandbox, compilation)
    place = [pod_address(number, family) for number in service.pods]
    before = connections_counted(service_slots(sandbox, compilation, service.name, family), place)
    target = Target("tcp", node_address("node-1", family), service.node_port)
    outcomes = sandbox.connect("client", [target] * (PER_ENDPOINT * size))
    answered = Counter(outcome.pod or outcome.result for outcome in outcomes)
    shares = compare_shares(even_shares(tuple(map(pod_name, service.pods))), answered)
    assert shares.probability > LEAST_PROBABILITY, answered
    after = connections_counted(service_slots(sandbox, compilation, service.name, family), place)
    counted = {
        pod_name(number): after[address] - before[address]
        for number, address in zip(service.pods, place, strict=True)
    }
    assert counted == dict(answered), "each element counts the connections that it got"


def service_slots(sandbox: Sandbox, compilation: Compilation, name: str, family: Family) -> str:
    """The elements of one Service's endpoints, on node-1, as nft lists them."""
    table = compilation.rules("node-1", model_family.Family(family)).ruleset.tables[0]
    chain = next(c for c in table.chains if c.comment == f"default/{name}:tcp" and "SVC" in c.name)
    (place,) = re.findall(r"mod (\d+) offset (\d+) map", chain.rules[-1])
    size, offset = map(int, place)
    keys = {str(key) for key in range(offset, offset + size)}
    text = " ".join(listing(sandbox, "node-1", family).split())
    elements = re.findall(r"(\d+) counter packets \d+ bytes \d+ : \S+ \. \d+", text)
    assert keys <= set(elements)
    return "\n".join(
        match[0]
        for match in re.finditer(r"(\d+) (counter packets \d+ bytes \d+ : \S+ \. \d+)", text)
        if match[1] in keys
    )


@pytest.mark.parametrize("family", get_args(Family))
def test_affinity_survives_a_second_load(
    sandbox: Sandbox, compilation: Compilation, family: Family
) -> None:
    target = Target("tcp", node_address("node-1", family), SERVICES["sticky"].node_port)

    def visited() -> list[str | None]:
        return [
            sandbox.connect("client", [target], source=client)[0].pod
            for client in CROWD[family][:8]
        ]

    first = visited()
    load(sandbox, compilation)
    assert visited() == first
    assert len(set(first)) > 1, "eight clients by chance at one of three pods: 1 in 2,000"


@pytest.mark.parametrize("backend", Backend)
def test_explain_and_equal_see_what_is_live(
    sandbox: Sandbox, source: Path, compilation: Compilation, backend: Backend, tmp_path: Path
) -> None:
    namespace = sandbox.namespace("node-1")
    settings = [
        *("-f", str(source), "--node", "node-1", "--backend", backend.value),
        *("--cluster-cidr", "10.244.0.0/16,fd00:10:244::/48"),
    ]
    if backend is Backend.IPTABLES:
        for family in get_args(Family):
            text = run("render", *settings, "--family", family).expect(0).stdout
            iptables_tools.restore(family, text, namespace=namespace)
    with namespace.entered():
        explained = run(
            "explain", f"192.168.1.1:{SERVICES['share-3'].node_port}", "--live", *settings
        ).expect(0)
        assert "3 endpoints, 33.3 % each" in explained.stdout, explained.stdout
        found = run("equal", str(source), "live", *settings[2:]).expect(0)
        assert found.stdout.count("alike") == 2
