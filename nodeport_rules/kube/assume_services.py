"""Cluster IPs and node ports for Services that have none."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from nodeport_rules.kube.assumption import (
    AssumeSettings,
    AssumptionLog,
    node_port_range,
    service_ranges,
)
from nodeport_rules.kube.kinds import subject_of
from nodeport_rules.kube.objects import Service, ServicePortSpec
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.kube.stable_choice import Choice, Claim, Range, choose
from nodeport_rules.kube.text_rules import IPV4, IPV6, family_of

_HEALTH_CHECK = "healthCheckNodePort"


class _Wishes(msgspec.Struct):
    """What one Service lacks.

    `families` are all it is to have, `missing` those without an address. `ports` are the indexes of
    ports without node port.
    """

    service: Service
    families: list[str]
    missing: list[str]
    ports: list[int]
    health_check: bool


def complete_services(
    snapshot: Snapshot, settings: AssumeSettings, log: AssumptionLog
) -> tuple[Service, ...]:
    """The Services, each with a cluster IP of each of its families and with its node ports.

    Complete ones come back as they are. What cannot be had (no CIDR of the family, range full) is a
    fault, and stays missing.
    """
    incomplete = [service for service in snapshot.services if not _is_complete(service)]
    if not incomplete:
        return snapshot.services
    ranges = service_ranges(snapshot, settings)
    wishes = [_wishes(service, ranges, log) for service in incomplete]
    if log.never:
        for wish in wishes:
            _report_missing(wish, log)
        return snapshot.services
    addresses = choose(
        [claim for wish in wishes for claim in _address_claims(wish, ranges)],
        _taken_addresses(snapshot),
    )
    ports = choose(
        [claim for wish in wishes for claim in _port_claims(wish, node_port_range(settings))],
        _taken_ports(snapshot),
    )
    completed = {
        (wish.service.namespace, wish.service.name): _completed(wish, addresses, ports, log)
        for wish in wishes
    }
    return tuple(
        completed.get((service.namespace, service.name), service) for service in snapshot.services
    )


def _is_complete(service: Service) -> bool:
    spec = service.spec
    if spec.type == "ExternalName" or spec.cluster_ip == "None":
        return True
    if not spec.cluster_ips or not spec.ip_families:
        return False
    if len(spec.cluster_ips) < len(spec.ip_families):
        return False
    return spec.type == "ClusterIP" or not (_ports_without(service) or _lacks_health_check(service))


def _ports_without(service: Service) -> list[int]:
    """The indexes of the ports that want a node port and have none."""
    spec = service.spec
    wanted = spec.type == "NodePort" or (
        spec.type == "LoadBalancer" and spec.allocate_load_balancer_node_ports is not False
    )
    if not wanted:
        return []
    return [index for index, port in enumerate(spec.ports or ()) if not port.node_port]


def _lacks_health_check(service: Service) -> bool:
    spec = service.spec
    return (
        spec.type == "LoadBalancer"
        and spec.external_traffic_policy == "Local"
        and not spec.health_check_node_port
    )


def _wishes(service: Service, ranges: dict[str, Range], log: AssumptionLog) -> _Wishes:
    spec = service.spec
    present = [family_of(address) for address in spec.cluster_ips or ()]
    families = _families(service, present, ranges)
    if spec.ip_family_policy == "RequireDualStack" and len(families) < 2:
        lacking = IPV6 if families == [IPV4] else IPV4
        _no_range(service, lacking, log)
    for family in families:
        if family not in present and family not in ranges:
            _no_range(service, family, log)
    missing = [family for family in families if family not in present and family in ranges]
    return _Wishes(
        service=service,
        families=[family for family in families if family in present or family in missing],
        missing=missing,
        ports=_ports_without(service),
        health_check=_lacks_health_check(service),
    )


def _no_range(service: Service, family: str, log: AssumptionLog) -> None:
    message = f"wants {family}, but no service CIDR of that family is known; give one"
    log.fault(service, "spec.ipFamilies", f"{message} (--service-cidr)")


def _families(service: Service, present: list[str], ranges: dict[str, Range]) -> list[str]:
    """The families that the API server would give the Service, in order."""
    spec = service.spec
    families = list(spec.ip_families or present or list(ranges)[:1])
    is_dual = spec.ip_family_policy in ("PreferDualStack", "RequireDualStack")
    if is_dual and len(families) == 1 and not (present and spec.ip_families):
        other = IPV6 if families == [IPV4] else IPV4
        families += [other] if other in ranges else []
    return families


def _report_missing(wish: _Wishes, log: AssumptionLog) -> None:
    service = wish.service
    for family in wish.missing:
        field = "spec.clusterIPs" if service.spec.cluster_ips else "spec.clusterIP"
        several = len(wish.families) > 1
        log.missing(service, field, f"has no {family} address" if several else "is missing")
    for index in wish.ports:
        log.missing(service, f"spec.ports[{index}].nodePort")
    if wish.health_check:
        log.missing(service, f"spec.{_HEALTH_CHECK}")


# ---------------------------------------------------------------------------------- claims


def _taken_addresses(snapshot: Snapshot) -> dict[str, str]:
    """Cluster IPs given, and whose they are."""
    return {
        address: subject_of(service)
        for service in snapshot.services
        for address in service.spec.cluster_ips or ()
    }


def _taken_ports(snapshot: Snapshot) -> dict[str, str]:
    """Node ports given, whatever their protocol, and whose they are."""
    taken: dict[str, str] = {}
    for service in snapshot.services:
        for port in service.spec.ports or ():
            if port.node_port:
                taken.setdefault(str(port.node_port), subject_of(service))
        if service.spec.health_check_node_port:
            taken.setdefault(str(service.spec.health_check_node_port), subject_of(service))
    return taken


def _address_claims(wish: _Wishes, ranges: dict[str, Range]) -> list[Claim]:
    owner = subject_of(wish.service)
    return [
        Claim(_address_key(wish.service, family), owner, ranges[family]) for family in wish.missing
    ]


def _port_claims(wish: _Wishes, ports: Range) -> list[Claim]:
    owner = subject_of(wish.service)
    listed = wish.service.spec.ports or []
    keys = [_port_key(wish.service, listed[index]) for index in wish.ports]
    if wish.health_check:
        keys.append(_health_check_key(wish.service))
    return [Claim(key, owner, ports) for key in keys]


def _address_key(service: Service, family: str) -> str:
    return f"{service.namespace}/{service.name} {family}"


def _port_key(service: Service, port: ServicePortSpec) -> str:
    """By the port's name where it has one: its number may change, and the node port stays."""
    return f"{service.namespace}/{service.name}:{port.name or port.port}/{port.protocol}"


def _health_check_key(service: Service) -> str:
    return f"{service.namespace}/{service.name} {_HEALTH_CHECK}"


# ---------------------------------------------------------------------------------- results


def _completed(
    wish: _Wishes, addresses: dict[str, Choice], ports: dict[str, Choice], log: AssumptionLog
) -> Service:
    service, changes = wish.service, {}
    changes.update(_chosen_addresses(wish, addresses, log))
    listed = list(service.spec.ports or ())
    for index in wish.ports:
        port = listed[index]
        number = f"{port.port}/{port.protocol}"
        what = (
            f"node port {{}} for port {port.name} ({number})"
            if port.name
            else (f"node port {{}} for port {number}")
        )
        choice = ports[_port_key(service, port)]
        if _log_choice(wish, choice, what, f"spec.ports[{index}].nodePort", log):
            listed[index] = replace(port, node_port=int(choice.value))
    if wish.ports:
        changes["ports"] = listed
    if wish.health_check:
        choice = ports[_health_check_key(service)]
        if _log_choice(wish, choice, "health-check node port {}", f"spec.{_HEALTH_CHECK}", log):
            changes["health_check_node_port"] = int(choice.value)
    return replace(service, spec=replace(service.spec, **changes))


def _chosen_addresses(
    wish: _Wishes, addresses: dict[str, Choice], log: AssumptionLog
) -> dict[str, Any]:
    spec = wish.service.spec
    by_family = {family_of(address): address for address in spec.cluster_ips or ()}
    for family in wish.missing:
        choice = addresses[_address_key(wish.service, family)]
        if _log_choice(wish, choice, "cluster IP {}", "spec.clusterIP", log):
            by_family[family] = choice.value
    families = [family for family in wish.families if family in by_family]
    listed = [by_family[family] for family in families]
    policy = spec.ip_family_policy or ("SingleStack" if len(listed) < 2 else "RequireDualStack")
    return {
        "cluster_ips": listed,
        "cluster_ip": listed[0] if listed else None,
        "ip_families": families,
        "ip_family_policy": policy,
    }


def _log_choice(wish: _Wishes, choice: Choice, what: str, field: str, log: AssumptionLog) -> bool:
    """Whether there is a value; said either way. `what` holds `{}` where the value goes."""
    if not choice.value:
        name = what.split(" {}")[0]
        log.fault(wish.service, field, f"is missing, and no {name} is left to assume; give it")
        return False
    log.assumed(subject_of(wish.service), what.format(choice.value), choice.note)
    return True
