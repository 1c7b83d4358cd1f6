"""kube-proxy's configuration file: what is read of it, and every way it can be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from nodeport_rules.errors import Fault
from nodeport_rules.kube.proxy_configuration import (
    API_VERSION,
    KIND,
    RULE_FIELDS,
    read_configuration,
)
from nodeport_rules.model.options import proxy_options


def read(document: object) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """(field, message) of every fault, and the fields passed over."""
    found = read_configuration(document, "config.yaml")
    _, faults = proxy_options(found.configuration, where="config.yaml")
    assert all(fault.where == "config.yaml" for fault in (*found.faults, *faults))
    return [(f.field, f.message) for f in (*found.faults, *faults)], found.passed_over


def faults_of(**fields: Any) -> list[tuple[str, str]]:
    return read({"apiVersion": API_VERSION, "kind": KIND, **fields})[0]


def test_an_empty_configuration_is_sound() -> None:
    assert faults_of() == []


WRONG = [
    ("unknown field", {"clusterCidr": "x"}, "clusterCidr", "no such field"),
    ("unknown field inside", {"iptables": {"masquerade": 1}}, "iptables.masquerade", "no such"),
    ("type", {"iptables": {"masqueradeAll": "yes"}}, "iptables.masqueradeAll", "expected `bool"),
    ("type of a list", {"nodePortAddresses": "primary"}, "nodePortAddresses", "expected `array"),
    ("type in a list", {"nodePortAddresses": [5]}, "nodePortAddresses[0]", "expected `str"),
    ("type in a map", {"featureGates": {"A": "x"}}, "featureGates[...]", "expected `bool"),
    ("section", {"conntrack": []}, "conntrack", "expected `object"),
    ("duration", {"iptables": {"syncPeriod": "30"}}, "iptables.syncPeriod", "is no duration"),
    ("bit", {"iptables": {"masqueradeBit": 32}}, "iptables.masqueradeBit", "32 is no bit"),
    ("negative bit", {"iptables": {"masqueradeBit": -1}}, "iptables.masqueradeBit", "is no bit"),
    ("CIDR", {"clusterCIDR": "10.0.0.1"}, "clusterCIDR", "is no CIDR"),
    ("CIDR text", {"clusterCIDR": "10.0.0.0/8\n-j"}, "clusterCIDR", "is no CIDR"),
    ("two of one family", {"clusterCIDR": "10.0.0.0/8,11.0.0.0/8"}, "clusterCIDR", "one family"),
    ("mode", {"detectLocalMode": "Magic"}, "detectLocalMode", "is unknown; it is one of"),
    (
        "bridge missing",
        {"detectLocalMode": "BridgeInterface"},
        "detectLocal.bridgeInterface",
        "missing",
    ),
    (
        "prefix missing",
        {"detectLocalMode": "InterfaceNamePrefix"},
        "detectLocal.interfaceNamePrefix",
        "missing",
    ),
    (
        "interface name",
        {"detectLocal": {"bridgeInterface": 'cni0" -j ACCEPT'}},
        "detectLocal.bridgeInterface",
        "is no interface name",
    ),
    (
        "interface name too long",
        {"detectLocal": {"bridgeInterface": "a" * 16}},
        "detectLocal.bridgeInterface",
        "is no interface name",
    ),
    (
        "primary with others",
        {"nodePortAddresses": ["primary", "::/0"]},
        "nodePortAddresses",
        "alone",
    ),
    ("node port CIDR", {"nodePortAddresses": ["192.168.1.1"]}, "nodePortAddresses", "is no CIDR"),
    ("node name", {"hostnameOverride": "node 1"}, "hostnameOverride", "is no node name"),
    ("bind address", {"bindAddress": "here"}, "bindAddress", "is no IP address"),
]


@pytest.mark.parametrize(("what", "fields", "path", "words"), WRONG, ids=[w[0] for w in WRONG])
def test_what_is_wrong_is_said_with_its_path(
    what: str, fields: dict[str, Any], path: str, words: str
) -> None:
    found = faults_of(**fields)
    assert [field for field, _ in found] == [path], found
    assert words in found[0][1]


def test_all_faults_are_reported_at_once() -> None:
    found = faults_of(
        nonsense=1,
        iptables={"masqueradeBit": "x", "what": 1, "masqueradeAll": 3},
        nodePortAddresses=[1, 2],
        clusterCIDR="bad",
    )
    assert sorted(field for field, _ in found) == [
        "clusterCIDR",
        "iptables.masqueradeAll",
        "iptables.masqueradeBit",
        "iptables.what",
        "nodePortAddresses[0]",
        "nonsense",
    ]


@pytest.mark.parametrize("document", [None, [], "text", 5, {}, {1: 2}])
def test_what_is_no_configuration_at_all(document: object) -> None:
    found, _ = read(document)
    assert found


@pytest.mark.parametrize(
    ("fields", "path"),
    [({"apiVersion": "v1"}, "apiVersion"), ({"kind": "ConfigMap"}, "kind")],
)
def test_another_kind_of_file(fields: dict[str, str], path: str) -> None:
    assert [field for field, _ in faults_of(**fields)] == [path]


def test_fields_without_meaning_for_rules_are_named_where_they_are_set() -> None:
    # As kubeadm writes it: every field is there, most of them with nothing in it.
    found, passed_over = read(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "bindAddress": "0.0.0.0",
            "bindAddressHardFail": False,
            "clientConnection": {
                "acceptContentTypes": "",
                "burst": 0,
                "contentType": "",
                "kubeconfig": "/var/lib/kube-proxy/kubeconfig.conf",
                "qps": 0,
            },
            "clusterCIDR": "10.244.0.0/16",
            "configSyncPeriod": "0s",
            "conntrack": {
                "maxPerCore": None,
                "min": None,
                "tcpBeLiberal": False,
                "tcpCloseWaitTimeout": None,
                "tcpEstablishedTimeout": None,
                "udpStreamTimeout": "0s",
                "udpTimeout": "0s",
            },
            "detectLocal": {"bridgeInterface": "", "interfaceNamePrefix": ""},
            "detectLocalMode": "",
            "enableProfiling": False,
            "healthzBindAddress": "",
            "hostnameOverride": "",
            "iptables": {
                "localhostNodePorts": None,
                "masqueradeAll": False,
                "masqueradeBit": None,
                "minSyncPeriod": "0s",
                "syncPeriod": "0s",
            },
            "ipvs": {
                "excludeCIDRs": None,
                "minSyncPeriod": "0s",
                "scheduler": "",
                "strictARP": False,
                "syncPeriod": "0s",
                "tcpFinTimeout": "0s",
                "tcpTimeout": "0s",
                "udpTimeout": "0s",
            },
            "logging": {
                "flushFrequency": 0,
                "options": {
                    "json": {"infoBufferSize": "0"},
                    "text": {"infoBufferSize": "0"},
                },
                "verbosity": 0,
            },
            "metricsBindAddress": "",
            "mode": "",
            "nftables": {
                "masqueradeAll": False,
                "masqueradeBit": None,
                "minSyncPeriod": "0s",
                "syncPeriod": "0s",
            },
            "nodePortAddresses": None,
            "oomScoreAdj": None,
            "portRange": "",
            "showHiddenMetricsForVersion": "",
            "winkernel": {
                "enableDSR": False,
                "forwardHealthCheckVip": False,
                "networkName": "",
                "rootHnsEndpointName": "",
                "sourceVip": "",
            },
        }
    )
    assert found == []
    assert passed_over == ("clientConnection.kubeconfig",)


def test_fields_that_change_rules_are_not_passed_over() -> None:
    document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND}
    examples: dict[str, Any] = {
        "mode": "iptables",
        "featureGates.AllowServiceExternalIPs": True,
        "hostnameOverride": "node-1",
        "bindAddress": "10.0.0.1",
        "clusterCIDR": "10.0.0.0/8",
        "detectLocalMode": "ClusterCIDR",
        "detectLocal.bridgeInterface": "cni0",
        "detectLocal.interfaceNamePrefix": "cali",
        "nodePortAddresses": ["primary"],
        "iptables.masqueradeBit": 3,
        "iptables.masqueradeAll": True,
        "iptables.localhostNodePorts": True,
        "nftables.masqueradeBit": 3,
        "nftables.masqueradeAll": True,
        "conntrack.tcpBeLiberal": True,
    }
    assert set(examples) == RULE_FIELDS - {"apiVersion", "kind"}
    for path, value in examples.items():
        section, _, name = path.rpartition(".")
        (document.setdefault(section, {}) if section else document)[name] = value
    assert read(document) == ([], ())


def test_a_flags_fault_names_the_flag() -> None:
    configuration = read_configuration(
        {"apiVersion": API_VERSION, "kind": KIND, "clusterCIDR": "x"}, "config.yaml"
    ).configuration
    _, faults = proxy_options(
        configuration, where="config.yaml", flags={"clusterCIDR": "--cluster-cidr"}
    )
    assert faults == [
        Fault("--cluster-cidr", "", "", '"x" is no CIDR; write it like 10.244.0.0/16')
    ]


def test_host_names_are_taken_as_kube_proxy_takes_them() -> None:
    configuration = read_configuration(
        {"apiVersion": API_VERSION, "kind": KIND, "hostnameOverride": " Node-A.Example "}, ""
    ).configuration
    options, faults = proxy_options(configuration)
    assert (options.hostname_override, faults) == ("node-a.example", [])
