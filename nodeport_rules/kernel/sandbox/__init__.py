"""A small cluster made of network namespaces: a client, nodes with rules of their own, and pods.

For the demo and for tests with real packets. Nothing of it has a name on the host, so nothing can
be left behind: see `nodeport_rules.kernel.namespaces`.
"""

from nodeport_rules.kernel.sandbox.sandbox import Sandbox
from nodeport_rules.kernel.sandbox.topology import Entry, NodeMachine, PodMachine, Topology
from nodeport_rules.kernel.sandbox.traffic import Outcome, Target

__all__ = [
    "Entry",
    "NodeMachine",
    "Outcome",
    "PodMachine",
    "Sandbox",
    "Target",
    "Topology",
]
