"""Our rules beside the recordings of a real kube-proxy, by way of a real kernel.

For every recorded state and both families: `render`, loaded by iptables-restore into a new network
namespace and dumped by iptables-save, is the same for `compare.py` as what kube-proxy wrote.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import yaml
from typer.testing import CliRunner

from nodeport_rules.cli.main import app
from nodeport_rules.iptables.compile import ruleset_faults
from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.kernel import accounting, iptables_tools
from nodeport_rules.kernel.namespaces import NetworkNamespace, ensure_network_namespaces
from nodeport_rules.model.family import Family

RECORDINGS = Path(__file__).parent / "recordings"
COMPARE = Path(__file__).parent / "compare.py"
STATES = sorted(folder.name for folder in RECORDINGS.iterdir() if folder.is_dir())
DUMPS = {Family.IPV4: "iptables.save", Family.IPV6: "ip6tables.save"}


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    ensure_network_namespaces()
    with NetworkNamespace.create("conformance") as created:
        accounting.create_counters(namespace=created)
        yield created


def render(state: str, family: Family, *more: str) -> str:
    folder = RECORDINGS / state
    result = CliRunner().invoke(
        app,
        [
            "render",
            *("-f", str(folder / "objects.json")),
            *("--config", str(folder / "config.iptables.yaml")),
            *("--family", family.value),
            "--nfacct",
            *host_flags(folder),
            *more,
        ],
    )
    assert result.exit_code == 0, f"{result.stderr}\n{result.exception!r}"
    return result.stdout


def host_flags(folder: Path) -> list[str]:
    """The host's addresses as flags, where the recording was made on one that had others than its
    Node object says (`host.yaml`)."""
    path = folder / "host.yaml"
    if not path.exists():
        return []
    addresses = yaml.safe_load(path.read_text())["addresses"]
    return [f"--node-address={address.partition('/')[0]}" for address in addresses]


def compared(recording: Path, dump: str, tmp_path: Path) -> str:
    """What compare.py, the definition of "the same rules", says of the two."""
    ours = tmp_path / "ours.save"
    ours.write_text(dump)
    finished = subprocess.run(
        [sys.executable, str(COMPARE), str(recording), str(ours)],
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.stdout + finished.stderr


def test_there_are_recordings_of_every_state() -> None:
    assert len(STATES) >= 55
    for state in STATES:
        for name in ("objects.json", "config.iptables.yaml", *DUMPS.values()):
            assert (RECORDINGS / state / name).is_file(), f"{state} has no {name}"


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES)
def test_the_kernel_holds_what_kube_proxy_wrote(
    state: str, family: Family, namespace: NetworkNamespace, tmp_path: Path
) -> None:
    rules = render(state, family)
    iptables_tools.restore(family.value, rules, namespace=namespace)
    dump = iptables_tools.save(family.value, namespace=namespace)
    assert compared(RECORDINGS / state / DUMPS[family], dump, tmp_path) == "the same\n"
    ours = parse_rules(dump, "iptables")
    assert {len(chain.rules) for _, chain in ours.all_chains()}, "the dump is empty"


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES)
def test_the_kernel_prints_the_very_text(
    state: str, family: Family, namespace: NetworkNamespace
) -> None:
    """Decision 1 of the design: what is compiled and what is live compare as text."""
    rules = render(state, family)
    iptables_tools.restore(family.value, rules, namespace=namespace)
    dump = parse_rules(iptables_tools.save(family.value, namespace=namespace), "iptables")
    live = {(table, chain.name): chain.rules for table, chain in dump.all_chains()}
    wanted = {
        (table, chain.name): chain.rules
        for table, chain in parse_rules(rules, "iptables").all_chains()
    }
    changed = {key: (want, live.get(key)) for key, want in wanted.items() if live.get(key) != want}
    assert changed == {}


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES)
def test_the_structure_is_sound(state: str, family: Family) -> None:
    """No missing chain, no empty or unreferenced SVC, SVL, EXT, FW or SEP chain.

    kube-proxy itself leaves KUBE-EXT chains unreferenced where only external IPs would lead there
    and the feature gate takes those away; the rules are to be the same.
    """
    faults = ruleset_faults(parse_rules(render(state, family), "iptables"))
    if (
        "AllowServiceExternalIPs: false"
        in (RECORDINGS / state / "config.iptables.yaml").read_text()
    ):
        faults = [fault for fault in faults if "nothing jumps to chain KUBE-EXT-" not in fault]
    assert faults == []


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", ["random-00", "affinity-local", "lb-source-ranges"])
def test_iptables_legacy_takes_one_block_and_holds_the_same(
    state: str, family: Family, namespace: NetworkNamespace
) -> None:
    in_blocks = render(state, family)
    whole = render(state, family, "--iptables-variant", "legacy")
    assert whole.count("*nat\n") == 1
    assert sorted(set(whole.splitlines())) == sorted(set(in_blocks.splitlines()))
    iptables_tools.restore(family.value, whole, namespace=namespace, variant="legacy")
    wanted = parse_rules(whole, "iptables")
    for table in wanted.tables:
        # Table by table: listing all of them asks for more than root of a user namespace may.
        dump = iptables_tools.save(
            family.value, namespace=namespace, variant="legacy", table=table.name
        )
        live = {chain.name: chain.rules for _, chain in parse_rules(dump, "iptables").all_chains()}
        assert {c.name: c.rules for c in table.chains} == {
            c.name: live[c.name] for c in table.chains
        }


HOST_RULES = """\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE
-A CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 8443 -j DNAT --to-destination 10.244.0.9:443
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -i cni0 -j ACCEPT
COMMIT
"""


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_the_hosts_own_rules_and_policies_stay_and_ours_come_first(
    namespace: NetworkNamespace, variant: Literal["nft", "legacy"]
) -> None:
    iptables_tools.restore("ipv4", HOST_RULES, namespace=namespace, variant=variant)
    rules = render("random-00", Family.IPV4, "--iptables-variant", variant)
    iptables_tools.restore("ipv4", rules, namespace=namespace, variant=variant)
    for table in ("nat", "filter"):
        dump = iptables_tools.save("ipv4", namespace=namespace, variant=variant, table=table)
        lines = [line for line in dump.splitlines() if not line.startswith("#")]
        others = [line for line in lines if "KUBE-" not in line]
        own = HOST_RULES[HOST_RULES.index(f"*{table}") :].split("COMMIT\n")[0] + "COMMIT"
        assert "\n".join(others) == own
        for chain in ("PREROUTING", "OUTPUT", "POSTROUTING", "INPUT", "FORWARD"):
            ours = ["KUBE-" in line for line in lines if line.startswith(f"-A {chain} ")]
            assert ours == sorted(ours, reverse=True), f"{chain}: {ours}"
