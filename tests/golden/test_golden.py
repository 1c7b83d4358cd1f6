"""The goldens: whole rulesets of manifests as people write them.

Each is what `render` prints, to the byte, and what a real iptables-restore takes and iptables-save
gives back. `make golden` rewrites them.
"""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Iterator

import pytest

from nodeport_rules.iptables.compile import PROGRAMS, ruleset_faults
from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.kernel import iptables_tools
from nodeport_rules.kernel.namespaces import NetworkNamespace, ensure_network_namespaces
from nodeport_rules.model.family import Family
from nodeport_rules.ruleset.ruleset import Ruleset
from tests.golden.cases import ACTUAL, ASSUMED, FOLDER, MANIFESTS, Case, all_cases

CASES = all_cases()
RULES_FILES = [
    (case, name, family) for case in CASES for name, (family, _) in case.rules_files().items()
]
DOCUMENTED = {
    "dual-stack",
    "echo-nodeport-service",
    "external-traffic-policy-local",
    "load-balancer-source-ranges",
    "my-nodeport-service",
    "named-ports",
    "node-port-assumed",
    "session-affinity",
    "several-ports",
    "web-service",
    "without-rules",
    "without-selector",
    "workloads-on-three-nodes",
}

each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
each_rules_file = pytest.mark.parametrize(
    ("case", "name", "family"),
    RULES_FILES,
    ids=[f"{case.name}/{name}" for case, name, _ in RULES_FILES],
)


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    ensure_network_namespaces()
    with NetworkNamespace.create("golden") as created:
        yield created


def compare(case: Case, name: str, actual: str) -> str:
    """The unified diff from the golden to `actual`; where there is one, `actual` is kept."""
    golden = case.folder / name
    kept = case.folder / f"{name}{ACTUAL}"
    expected = golden.read_text() if golden.exists() else ""
    if golden.exists() and expected == actual:
        kept.unlink(missing_ok=True)
        return ""
    kept.write_text(actual)
    difference = difflib.unified_diff(
        expected.splitlines(keepends=True),
        actual.splitlines(keepends=True),
        f"{case.name}/{name}",
        f"{case.name}/{kept.name}",
    )
    return "".join(difference) or f"{case.name}/{name} is missing"


def as_chains(ruleset: Ruleset) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(table, chain.name): chain.rules for table, chain in ruleset.all_chains()}


@each_case
def test_the_compiler_prints_the_golden(case: Case) -> None:
    differences = [compare(case, name, text) for name, text in case.print_now().items()]
    shown = "\n".join(filter(None, differences))
    assert not shown, f"review, then `make golden` takes it over:\n{shown}"


@each_rules_file
def test_the_kernel_takes_the_golden_and_gives_it_back(
    case: Case, name: str, family: Family, namespace: NetworkNamespace
) -> None:
    golden = (case.folder / name).read_text()
    iptables_tools.restore(family.value, golden, namespace=namespace)
    dump = iptables_tools.save(family.value, namespace=namespace)
    program = PROGRAMS[family]
    live = as_chains(parse_rules(dump, program))
    wanted = as_chains(parse_rules(golden, program))
    assert {chain: rules for chain, rules in live.items() if rules} == {
        chain: rules for chain, rules in wanted.items() if rules
    }
    assert {chain for chain in live if chain[1].startswith("KUBE-")} == {
        chain for chain in wanted if chain[1].startswith("KUBE-")
    }


@each_rules_file
def test_the_structure_is_sound(case: Case, name: str, family: Family) -> None:
    golden = (case.folder / name).read_text()
    assert ruleset_faults(parse_rules(golden, PROGRAMS[family])) == []


@each_case
def test_a_case_is_complete_and_nothing_in_it_is_stale(case: Case) -> None:
    there = {path.name for path in case.folder.iterdir() if not path.name.endswith(ACTUAL)}
    assert there == {MANIFESTS, *case.expected_files()}
    manifests = list((case.folder / MANIFESTS).iterdir())
    assert manifests
    assert {path.suffix for path in manifests} == {".yaml"}


def test_every_folder_is_a_case_and_all_that_documentation_shows_are_there() -> None:
    folders = {
        path.name
        for path in FOLDER.iterdir()
        if path.is_dir() and not path.name.startswith(("_", "."))
    }
    assert folders == {case.name for case in CASES}
    assert folders >= DOCUMENTED


def test_no_actual_is_committed() -> None:
    listed = subprocess.run(
        ["git", "-C", str(FOLDER), "ls-files", f"*{ACTUAL}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.stdout == ""


def rules_of(case: str, name: str, containing: str) -> list[str]:
    """The golden's rules with `containing` in them."""
    text = (FOLDER / case / name).read_text()
    return [line for line in text.splitlines() if line.startswith("-A") and containing in line]


# What the goldens have to say, so that accepting a diff unread does not go unnoticed: for rules of
# a chain kind and a text in them, how many there are.
COUNTS = [
    ("web-service", "iptables.rules", "--dport 30008 -j KUBE-EXT-", 1),
    ("web-service", "iptables.rules", "-j DNAT", 3),
    ("web-service", "iptables.rules", "--probability 0.33333333349 ", 1),
    ("web-service", "iptables.rules", "--probability 0.50000000000 ", 1),
    ("web-service", "ip6tables.rules", "-j DNAT", 0),
    ("my-nodeport-service", "iptables.rules", "--dport 30080 -j KUBE-EXT-", 1),
    ("my-nodeport-service", "iptables.rules", ":8080", 4),
    ("echo-nodeport-service", "iptables.rules", "--dport 30007 -j KUBE-EXT-", 1),
    ("named-ports", "iptables.rules", "-j DNAT --to-destination", 4),
    ("named-ports", "iptables.rules", ":8081", 0),
    ("external-traffic-policy-local", "worker-1.iptables.rules", "-j KUBE-SVL-", 1),
    ("external-traffic-policy-local", "worker-1.iptables.rules", "no local endpoints", 1),
    ("external-traffic-policy-local", "worker-2.iptables.rules", "-j KUBE-SVL-", 2),
    ("external-traffic-policy-local", "worker-2.iptables.rules", "no local endpoints", 0),
    ("session-affinity", "iptables.rules", "--rcheck --seconds 3600 --reap", 3),
    ("session-affinity", "iptables.rules", "-m recent --set", 3),
    ("without-selector", "iptables.rules", "-j DNAT --to-destination 203.0.113.33:3306", 1),
    ("several-ports", "iptables.rules", "-j DNAT", 8),
    ("several-ports", "iptables.rules", "-p sctp", 4),
    ("without-rules", "iptables.rules", "-j DNAT", 0),
    ("without-rules", "iptables.rules", "ledger", 0),
    ("node-port-assumed", "iptables.rules", "-j DNAT", 1),
    ("dual-stack", "iptables.rules", "-j DNAT", 2),
    ("dual-stack", "ip6tables.rules", "-j DNAT", 2),
    ("load-balancer-source-ranges", "iptables.rules", "-A KUBE-FW-", 3),
    ("load-balancer-source-ranges", "iptables.rules", "-A KUBE-PROXY-FIREWALL", 1),
    ("workloads-on-three-nodes", "node-1.iptables.rules", "-A KUBE-SVL-", 1),
    ("workloads-on-three-nodes", "node-1.iptables.rules", "-j DNAT", 4),
]


@pytest.mark.parametrize(("case", "name", "containing", "count"), COUNTS)
def test_a_golden_holds_what_its_manifests_ask_for(
    case: str, name: str, containing: str, count: int
) -> None:
    found = rules_of(case, name, containing)
    assert len(found) == count, found


def test_every_case_has_a_count() -> None:
    assert {case for case, *_ in COUNTS} == {case.name for case in CASES}


def test_what_is_assumed_is_said() -> None:
    said = (FOLDER / "node-port-assumed" / ASSUMED).read_text()
    assert "node port" in said
    assert (FOLDER / "load-balancer-source-ranges" / ASSUMED).read_text().count("\n") == 1
