"""EndpointSlices for Services whose endpoints the input does not give, from its pods."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from nodeport_rules.errors import quote
from nodeport_rules.kube.assume_nodes import PodNodes
from nodeport_rules.kube.assume_pods import PodGroup, PodPlace, container_port, pod_groups
from nodeport_rules.kube.assumption import AssumeSettings, AssumptionLog
from nodeport_rules.kube.kinds import subject_of
from nodeport_rules.kube.mirror import MANAGED_BY_LABEL
from nodeport_rules.kube.objects import (
    EndpointConditions,
    Endpoints,
    EndpointSlice,
    KubeObject,
    ObjectMeta,
    Service,
    SliceEndpoint,
    SlicePort,
)
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.kube.stable_choice import Choice, Claim, choose
from nodeport_rules.kube.validate_slices import SERVICE_NAME_LABEL

_PortSet = tuple[tuple[str, str, int], ...]
"""(name, protocol, number) of each port of a slice."""

_NO_MATCH = "nothing in the input matches its selector"


class _Selected(msgspec.Struct, frozen=True):
    """A Service and the pods that its selector matches."""

    service: Service
    groups: list[PodGroup]


def services_with_endpoints(objects: Iterable[KubeObject]) -> frozenset[tuple[str, str]]:
    """(namespace, name) of the Services that slices or Endpoints objects among these speak for."""
    return frozenset(
        (one.namespace, one.labels.get(SERVICE_NAME_LABEL, ""))
        if isinstance(one, EndpointSlice)
        else (one.namespace, one.name)
        for one in objects
        if isinstance(one, EndpointSlice | Endpoints)
    )


def assumed_slices(
    snapshot: Snapshot,
    settings: AssumeSettings,
    log: AssumptionLog,
    spoken_for: frozenset[tuple[str, str]] = frozenset(),
) -> list[EndpointSlice]:
    """Slices for every Service with a selector that has neither slice nor Endpoints object.

    The Services must have their families. Headless ones need no rules and get none; nor do those
    of `spoken_for`, whose slices were there but set aside as faulty.
    """
    services = _without_endpoints(snapshot, spoken_for)
    if not services:
        return []
    nodes = PodNodes(snapshot, settings)
    selected = _select(services, pod_groups(snapshot, nodes))
    if log.never:
        for match in selected:
            if match.groups:
                what = "has no EndpointSlice or Endpoints object"
                log.missing(match.service, "spec.selector", what)
        return []
    addresses = _addresses(snapshot, selected, log)
    return [item for match in selected for item in _slices(match, addresses, log)]


def _without_endpoints(snapshot: Snapshot, spoken_for: frozenset[tuple[str, str]]) -> list[Service]:
    given = spoken_for | services_with_endpoints((*snapshot.slices, *snapshot.endpoints))
    return [
        service
        for service in snapshot.services
        if service.spec.selector
        and service.spec.type != "ExternalName"
        and service.spec.cluster_ip != "None"
        and (service.namespace, service.name) not in given
    ]


def _select(services: Iterable[Service], groups: Iterable[PodGroup]) -> list[_Selected]:
    """The groups that each Service selects; found through an index of single labels."""
    index: defaultdict[tuple[str, str, str], list[PodGroup]] = defaultdict(list)
    for group in groups:
        for key, value in group.labels.items():
            index[group.namespace, key, value].append(group)
    selected: list[_Selected] = []
    for service in services:
        selector = service.spec.selector or {}
        candidates = min(
            (index.get((service.namespace, *pair), []) for pair in selector.items()), key=len
        )
        matching = [group for group in candidates if selector.items() <= group.labels.items()]
        selected.append(_Selected(service, matching))
    return selected


# ---------------------------------------------------------------------------------- addresses


def _addresses(
    snapshot: Snapshot, selected: list[_Selected], log: AssumptionLog
) -> dict[str, dict[str, Choice]]:
    """By family and pod key, the address of every pod that some Service of that family selects."""
    taken = _taken_addresses(snapshot)
    wanted: defaultdict[str, dict[str, PodGroup]] = defaultdict(dict)
    for match in selected:
        for family in match.service.spec.ip_families or ():
            wanted[family].update((group.subject, group) for group in match.groups)
    found: dict[str, dict[str, Choice]] = {}
    for family, groups in sorted(wanted.items()):
        found[family] = _known(groups.values(), family)
        found[family].update(choose(_claims(groups.values(), family), taken))
        for group in groups.values():
            _log_addresses(group, family, found[family], log)
    return found


def _taken_addresses(snapshot: Snapshot) -> dict[str, str]:
    """Addresses that the input gives to something."""
    taken: dict[str, str] = {}
    for item in snapshot.slices:
        subject = subject_of(item)
        for endpoint in item.endpoints or ():
            for address in endpoint.addresses:
                taken.setdefault(address, subject)
    for pod in snapshot.pods:
        for entry in (pod.status.pod_ips if pod.status else None) or ():
            taken.setdefault(entry.ip or "", subject_of(pod))
    for node in snapshot.nodes:
        for node_address in node.status.addresses or ():
            taken.setdefault(node_address.address, subject_of(node))
    return taken


def _known(groups: Iterable[PodGroup], family: str) -> dict[str, Choice]:
    """Addresses that need no choice: those given, and the nodes' for pods on the host network."""
    return {
        pod.key: Choice(address)
        for group in groups
        for pod in group.pods
        if (address := _known_address(group, pod, family))
    }


def _known_address(group: PodGroup, pod: PodPlace, family: str) -> str:
    if pod.addresses:
        return pod.addresses.get(family, "")
    return pod.node.addresses.get(family, "") if group.spec.host_network else ""


def _claims(groups: Iterable[PodGroup], family: str) -> list[Claim]:
    return [
        Claim(pod.key, group.subject, pod.node.ranges[family])
        for group in groups
        if not group.spec.host_network
        for pod in group.pods
        if not pod.addresses and family in pod.node.ranges
    ]


def _log_addresses(
    group: PodGroup, family: str, choices: dict[str, Choice], log: AssumptionLog
) -> None:
    """Say which pods were assumed where, and which could not be."""
    shown: list[str] = []
    notes: list[str] = []
    for pod in group.pods:
        choice = choices.get(pod.key)
        if choice is None or not choice.value:
            if not pod.addresses:
                what = f"no {family} endpoint on {pod.node.name}"
                log.assumed(group.subject, what, _why_none(group, family))
        elif not pod.addresses and (pod.node_assumed or not group.spec.host_network):
            shown.append(f"{choice.value} on {pod.node.name}")
            if choice.note:
                notes.append(f"{choice.value}: {choice.note}")
    if shown:
        what = "pods" if len(shown) > 1 else "pod"
        log.assumed(group.subject, f"{what} {', '.join(shown)}", "; ".join(notes))


def _why_none(group: PodGroup, family: str) -> str:
    if group.spec.host_network:
        return f"it uses the host network, and no {family} address of that node is in the input"
    return f"no pod CIDR has a free {family} address for it"


# ---------------------------------------------------------------------------------- slices


def _slices(
    match: _Selected, addresses: dict[str, dict[str, Choice]], log: AssumptionLog
) -> list[EndpointSlice]:
    """One slice for each family and each set of port numbers that pods resolve the ports to."""
    service = match.service
    by_ports: defaultdict[_PortSet, list[PodGroup]] = defaultdict(list)
    for group in match.groups:
        by_ports[_resolve(service, group)].append(group)
    _report_unresolved(match, log)
    found: list[EndpointSlice] = []
    endpoints_of: dict[str, int] = {}
    for family in service.spec.ip_families or ():
        number = 0
        for ports, groups in sorted(by_ports.items(), key=lambda pair: pair[0]):
            endpoints = _endpoints(service, groups, addresses.get(family, {}))
            if endpoints and ports:
                number += 1
                found.append(_slice(service, family, number, ports, endpoints))
                endpoints_of[family] = endpoints_of.get(family, 0) + len(endpoints)
    _log_endpoints(match, endpoints_of, log)
    return found


def _resolve(service: Service, group: PodGroup) -> _PortSet:
    """The Service's ports as the group's containers have them; without those they do not have."""
    resolved: list[tuple[str, str, int]] = []
    for port in service.spec.ports or ():
        protocol = port.protocol or "TCP"
        target = port.target_port
        if isinstance(target, str):
            target = container_port(group.spec, target, protocol)
        if target is not None:
            resolved.append((port.name or "", protocol, target))
    return tuple(resolved)


def _report_unresolved(match: _Selected, log: AssumptionLog) -> None:
    """A fault for each named targetPort that no container of any selected pod has."""
    for index, port in enumerate(match.service.spec.ports or ()):
        target, protocol = port.target_port, port.protocol or "TCP"
        if not isinstance(target, str) or not match.groups:
            continue
        if all(container_port(group.spec, target, protocol) is None for group in match.groups):
            subjects = " and ".join(group.subject for group in match.groups[:2])
            message = (
                f"is {quote(target)}, but no container of {subjects} has a {protocol} port of that "
                "name; this port gets no endpoint"
            )
            log.fault(match.service, f"spec.ports[{index}].targetPort", message)


def _endpoints(
    service: Service, groups: list[PodGroup], choices: dict[str, Choice]
) -> list[SliceEndpoint]:
    publish = bool(service.spec.publish_not_ready_addresses)
    found: dict[str, SliceEndpoint] = {}
    for group in groups:
        for pod in group.pods:
            choice = choices.get(pod.key)
            if choice is None or not choice.value or choice.value in found:
                continue
            found[choice.value] = SliceEndpoint(
                addresses=[choice.value],
                conditions=EndpointConditions(
                    ready=publish or (pod.ready and not pod.terminating),
                    serving=pod.ready,
                    terminating=pod.terminating,
                ),
                node_name=pod.node.name,
                zone=pod.node.zone,
            )
    return list(found.values())


def _slice(
    service: Service, family: str, number: int, ports: _PortSet, endpoints: list[SliceEndpoint]
) -> EndpointSlice:
    suffix = f"-{number}" if number > 1 else ""
    return EndpointSlice(
        metadata=ObjectMeta(
            name=f"{service.name}-assumed-{family.lower()}{suffix}",
            namespace=service.namespace,
            labels={SERVICE_NAME_LABEL: service.name, MANAGED_BY_LABEL: "nodeport-rules"},
        ),
        address_type=family,
        endpoints=endpoints,
        ports=[
            SlicePort(name=name, protocol=protocol, port=target) for name, protocol, target in ports
        ],
    )


def _log_endpoints(match: _Selected, endpoints_of: dict[str, int], log: AssumptionLog) -> None:
    subject = subject_of(match.service)
    if not match.groups:
        log.assumed(subject, "no endpoints", _NO_MATCH)
        return
    sources = ", ".join(group.subject for group in match.groups)
    count = max(endpoints_of.values(), default=0)
    shown = f"{count or 'no'} endpoint{'' if count == 1 else 's'}"
    log.assumed(subject, f"{shown} from {sources}")
