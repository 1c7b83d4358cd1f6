"""Our rules beside the recordings of a real kube-proxy, by way of a real kernel.

For every recorded state and both families: `render`, loaded by iptables-restore into a new network
namespace and dumped by iptables-save, is the same for `compare.py` as what kube-proxy wrote.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


@pytest.mark.parametrize("variant", ["legacy"])
@pytest.mark.parametrize("state", ["random-00", "large-cluster"])
def test_legacy_text_is_one_block_with_the_same_rules(state: str, variant: str) -> None:
    in_blocks = render(state, Family.IPV4)
    whole = render(state, Family.IPV4, "--iptables-variant", variant)
    assert whole.count("*nat\n") == 1
    assert sorted(set(whole.splitlines())) == sorted(set(in_blocks.splitlines()))
