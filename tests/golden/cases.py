"""The golden cases: what stands in their folders, and what the compiler prints for them now.

A case is a folder: `manifests/` is the input, `assumed.txt` what `render` says on stderr as
assumed, `iptables.rules` and `ip6tables.rules` what it prints. Where the rules are shown for nodes
by name, `nodes.txt` lists them, and each has its own files, named as `-o FOLDER` names them:
`worker-1.iptables.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nodeport_rules.iptables.compile import PROGRAMS
from nodeport_rules.model.family import Family
from tests.running import Finished, run

FOLDER = Path(__file__).parent
MANIFESTS = "manifests"
NODES = "nodes.txt"
ASSUMED = "assumed.txt"
ACTUAL = ".actual"
"""Ends the names of the files that a failed test writes beside the goldens; git ignores them."""


@dataclass(frozen=True)
class Case:
    """One folder."""

    name: str

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def nodes(self) -> tuple[str | None, ...]:
        """The nodes that rules are shown for; (None,) is the one that `render` chooses."""
        listed = self.folder / NODES
        return tuple(listed.read_text().split()) if listed.exists() else (None,)

    def render(self, family: Family, node: str | None) -> Finished:
        """`render` for one family and node, which must end well and warn of nothing."""
        chosen = ("--node", node) if node else ()
        manifests = str(self.folder / MANIFESTS)
        finished = run("render", "-f", manifests, "--family", family.value, *chosen).expect(0)
        strange = [
            line for line in finished.stderr.splitlines() if not line.startswith("assumed: ")
        ]
        assert not strange, f"{self.name}: unexpected on stderr: {strange}"
        return finished

    def rules_files(self) -> dict[str, tuple[Family, str | None]]:
        """By name, the files of rules that the folder has, and whose rules they are."""
        return {
            f"{node}.{PROGRAMS[family]}.rules" if node else f"{PROGRAMS[family]}.rules": (
                family,
                node,
            )
            for node in self.nodes
            for family in Family
        }

    def expected_files(self) -> set[str]:
        """The names of all files that belong into the folder, manifests aside."""
        listed = {NODES} if (self.folder / NODES).exists() else set()
        return {ASSUMED, *listed, *self.rules_files()}

    def print_now(self) -> dict[str, str]:
        """By name, the files as the compiler would have them now."""
        texts: dict[str, str] = {}
        assumed: set[str] = set()
        for name, (family, node) in self.rules_files().items():
            finished = self.render(family, node)
            texts[name] = finished.stdout
            assumed.add(finished.stderr)
        assert len(assumed) == 1, f"{self.name}: what is assumed depends on family or node"
        return {ASSUMED: assumed.pop(), **texts}


def all_cases() -> list[Case]:
    """Every case, by name."""
    return [Case(path.parent.name) for path in sorted(FOLDER.glob(f"*/{MANIFESTS}"))]
