"""What an assumption is, and the settings that values are assumed from."""

from __future__ import annotations

import ipaddress

import msgspec

from nodeport_rules.errors import Fault, UsageError, quote
from nodeport_rules.kube.kinds import key_of, subject_of
from nodeport_rules.kube.objects import KubeObject
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.kube.stable_choice import Range, address_range
from nodeport_rules.kube.text_rules import parse_cidr

DEFAULT_SERVICE_CIDRS = ("10.96.0.0/12", "fd00:10:96::/108")
DEFAULT_POD_CIDRS = ("10.244.0.0/16", "fd00:10:244::/48")


class AssumeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What values are taken from.

    `service_cidrs`: None means those of the ServiceCIDR objects in the input, else
    `DEFAULT_SERVICE_CIDRS`; the first one of each family counts, and the first of all says which
    family a Service of one family gets. `node_port_range` is inclusive. `pod_cidrs` is for pods on
    nodes whose own podCIDRs are not known. `node_names` are the nodes where the input has no Node.
    With `never`, whatever would be assumed is a fault instead.
    """

    service_cidrs: tuple[str, ...] | None = None
    node_port_range: tuple[int, int] = (30000, 32767)
    pod_cidrs: tuple[str, ...] = DEFAULT_POD_CIDRS
    node_names: tuple[str, ...] = ("node-1",)
    never: bool = False


class Assumption(msgspec.Struct, frozen=True, order=True):
    """One thing assumed.

    `subject` is the object ("Service default/web"), `what` its value ("cluster IP 10.103.7.21"),
    `note` why it is not the one that its hash gives ("" when it is).
    """

    subject: str
    what: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}" + (f" ({self.note})" if self.note else "")


class AssumptionLog:
    """Collects what one run assumes, and what it cannot."""

    def __init__(self, snapshot: Snapshot, *, never: bool) -> None:
        self.never = never
        self.assumptions: list[Assumption] = []
        self.faults: list[Fault] = []
        self._snapshot = snapshot

    def missing(self, item: KubeObject, field: str, what: str = "is missing") -> None:
        """With `never`: what is not given is a fault."""
        self.fault(item, field, f"{what}; give it, or drop --assume never")

    def fault(self, item: KubeObject, field: str, message: str) -> None:
        where = self._snapshot.origin(*key_of(item))
        self.faults.append(
            Fault(where=where, subject=subject_of(item), field=field, message=message)
        )

    def assumed(self, subject: str, what: str, note: str = "") -> None:
        self.assumptions.append(Assumption(subject, what, note))


def service_ranges(snapshot: Snapshot, settings: AssumeSettings) -> dict[str, Range]:
    """By family, the addresses that cluster IPs are taken from; the first family is the default.

    Raises `UsageError` for a setting that is no CIDR.
    """
    cidrs = settings.service_cidrs
    if cidrs is None:
        objects = sorted(
            snapshot.service_cidrs, key=lambda item: (item.name != "kubernetes", item.name)
        )
        cidrs = tuple(cidr for item in objects for cidr in item.spec.cidrs or ())
    return cidr_ranges(cidrs or DEFAULT_SERVICE_CIDRS, "service CIDR")


def cidr_ranges(cidrs: tuple[str, ...] | list[str], what: str) -> dict[str, Range]:
    """By family, in the order given, the usable addresses of the first CIDR of that family."""
    ranges: dict[str, Range] = {}
    for text in cidrs:
        parsed = parse_cidr(text)
        if parsed is None:
            message = f"{quote(text)} is no {what}; give one such as 10.0.0.0/8 or fd00::/64"
            raise UsageError(message)
        cidr, family = parsed
        ranges.setdefault(family, address_range(ipaddress.ip_network(cidr)))
    return ranges


def node_port_range(settings: AssumeSettings) -> Range:
    """The node ports that may be assumed. Raises `UsageError` when there is no such range."""
    low, high = settings.node_port_range
    if not 1 <= low <= high <= 65535:
        raise UsageError(f"{low}-{high} is no range of node ports; give one such as 30000-32767")
    return Range(first=low, size=high - low + 1)
