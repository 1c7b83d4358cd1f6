"""kube-proxy's own configuration file, and the flags that go before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import Finished, run
from tests.unit.cli.objects import endpoint_slice, node, node_port_service, write

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"


def render(tmp_path: Path, text: str, *more: str) -> Finished:
    """`render` with that configuration file, which is `config.yaml` in `tmp_path`."""
    config = tmp_path / "config.yaml"
    config.write_text(text)
    made = node_port_service(externalIPs=["203.0.113.7"])
    objects = write(tmp_path, made, endpoint_slice(), node("node-1", "192.168.1.1"))
    return run("render", "-f", objects, "--config", str(config), *more)


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        (
            HEAD + "clusterCIDRs: 10.0.0.0/8\n",
            ["clusterCIDRs: there is no such field in KubeProxyConfiguration; mind the spelling"],
        ),
        (
            HEAD + "iptables: {masqueradBit: 14}\n",
            [
                "iptables.masqueradBit: there is no such field in KubeProxyConfiguration;"
                " mind the spelling"
            ],
        ),
        (
            HEAD + "iptables: {masqueradeBit: fourteen}\n",
            ["iptables.masqueradeBit: expected `int | null`, got `str`"],
        ),
        (
            HEAD + "iptables: {masqueradeBit: 32}\n",
            ["iptables.masqueradeBit: 32 is no bit of a mark; it is one of 0 to 31"],
        ),
        (
            HEAD + "iptables: {syncPeriod: 30}\n",
            ["iptables.syncPeriod: expected `str | null`, got `int`"],
        ),
        (
            HEAD + "configSyncPeriod: 15 minutes\n",
            ['configSyncPeriod: "15 minutes" is no duration; write it like 30s or 1m30s'],
        ),
        (
            HEAD + "conntrack: {tcpEstablishedTimeout: 1d}\n",
            ['conntrack.tcpEstablishedTimeout: "1d" is no duration; write it like 30s or 1m30s'],
        ),
        (
            HEAD + "nodePortAddresses: 10.0.0.0/8\n",
            ["nodePortAddresses: expected `array | null`, got `str`"],
        ),
        (
            HEAD + "nodePortAddresses: [10.0.0.0/33]\n",
            ['nodePortAddresses: "10.0.0.0/33" is no CIDR; write it like 10.244.0.0/16'],
        ),
        (
            HEAD + "detectLocalMode: Magic\n",
            [
                'detectLocalMode: "Magic" is unknown; it is one of ClusterCIDR, NodeCIDR,'
                " BridgeInterface, InterfaceNamePrefix"
            ],
        ),
        (
            HEAD + "detectLocalMode: BridgeInterface\n",
            ["detectLocal.bridgeInterface: missing: detectLocalMode BridgeInterface needs it"],
        ),
        (
            HEAD + "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: 'a -j X'}\n",
            [
                'detectLocal.bridgeInterface: "a -j X" is no interface name: at most 15 letters,'
                " digits and any of _ . @ : -"
            ],
        ),
        (
            HEAD + "clusterCIDR: 10.0.0.0/8,10.1.0.0/16\n",
            [
                'clusterCIDR: "10.0.0.0/8,10.1.0.0/16" has two CIDRs of one family; give one of'
                " each at most"
            ],
        ),
        (
            HEAD + "hostnameOverride: 'a;b'\nbindAddress: localhost\n",
            [
                'bindAddress: "localhost" is no IP address',
                "hostnameOverride: \"a;b\" is no node name: lower-case letters, digits, '-' and"
                " '.', at most 253",
            ],
        ),
        (
            "kind: KubeProxyConfiguration\n",
            ["apiVersion: missing; must be kubeproxy.config.k8s.io/v1alpha1"],
        ),
        (
            HEAD.replace("KubeProxy", "Kubelet"),
            ['kind: "KubeletConfiguration"; must be KubeProxyConfiguration'],
        ),
        ("", ["has 0 documents; a configuration is one"]),
        (HEAD + "---\n" + HEAD, ["has 2 documents; a configuration is one"]),
        (
            "[]\n",
            [
                "this is no KubeProxyConfiguration: expected a mapping with apiVersion"
                " kubeproxy.config.k8s.io/v1alpha1"
            ],
        ),
    ],
)
def test_a_wrong_file_is_an_error_with_the_path_of_the_field(
    tmp_path: Path, text: str, errors: list[str]
) -> None:
    finished = render(tmp_path, text).expect(2)
    assert finished.stdout == ""
    file = tmp_path / "config.yaml"
    summary = [f"{len(errors)} faults; nothing was written"] if len(errors) > 1 else []
    assert finished.said("error") == [f"{file}: {error}" for error in errors] + summary


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("none.yaml", "{}: cannot be read: No such file or directory"),
        ("", '--config "{}": it is a folder; name the file'),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str, error: str) -> None:
    config = tmp_path / name
    objects = write(tmp_path, node_port_service())
    finished = run("render", "-f", objects, "--config", str(config)).expect(2)
    assert finished.said("error") == [error.replace("{}", str(config))]


def test_fields_without_meaning_for_rules_are_named_in_one_warning(tmp_path: Path) -> None:
    finished = render(
        tmp_path,
        HEAD
        + "mode: iptables\nhealthzBindAddress: 0.0.0.0:10256\n"
        + "clientConnection: {kubeconfig: /etc/kubeconfig, qps: 5}\n"
        + "conntrack: {maxPerCore: 32768}\noomScoreAdj: -999\n",
    ).expect(0)
    assert finished.said("warning") == [
        f"{tmp_path / 'config.yaml'}: no meaning for rules: clientConnection.kubeconfig,"
        " clientConnection.qps, conntrack.maxPerCore, healthzBindAddress, oomScoreAdj"
    ]


def test_a_file_with_nothing_in_it_changes_nothing(tmp_path: Path) -> None:
    plain = render(tmp_path, HEAD).expect(0)
    assert plain.said("warning") == []
    objects = str(tmp_path / "objects.json")
    assert run("render", "-f", objects).expect(0).stdout == plain.stdout


# For each setting: what the file says, the flag that says the same, and the rule that shows it.
SETTINGS = [
    ("clusterCIDR: 10.9.0.0/16", ("--cluster-cidr", "10.9.0.0/16"), "! -s 10.9.0.0/16 -d"),
    (
        "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}",
        ("--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "cni0"),
        "! -i cni0 ",
    ),
    (
        "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}",
        ("--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix", "veth"),
        "! -i veth+ ",
    ),
    ("nodePortAddresses: [primary]", ("--nodeport-addresses", "primary"), "-d 192.168.1.1/32"),
    ("iptables: {masqueradeBit: 10}", ("--iptables-masquerade-bit", "10"), "0x400/0x400"),
    (
        "iptables: {masqueradeAll: true}",
        ("--masquerade-all", "true"),
        '-m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ',
    ),
    (
        "iptables: {localhostNodePorts: false}",
        ("--iptables-localhost-nodeports", "false"),
        "! -d 127.0.0.0/8",
    ),
]


@pytest.mark.parametrize(("text", "flags", "shown"), SETTINGS, ids=[s[1][0] for s in SETTINGS])
def test_file_and_flag_make_the_same_rules(
    tmp_path: Path, text: str, flags: tuple[str, ...], shown: str
) -> None:
    plain = render(tmp_path, HEAD).expect(0).stdout
    by_file = render(tmp_path, f"{HEAD}{text}\n").expect(0).stdout
    by_flag = render(tmp_path, HEAD, *flags).expect(0).stdout
    assert by_file == by_flag
    assert shown in by_file
    assert shown not in plain


@pytest.mark.parametrize(
    ("text", "flags", "absent"),
    [
        ("conntrack: {tcpBeLiberal: true}", ("--conntrack-tcp-be-liberal", "true"), "INVALID"),
        (
            "featureGates: {AllowServiceExternalIPs: false}",
            ("--feature-gates", "AllowServiceExternalIPs=false"),
            "203.0.113.7",
        ),
    ],
)
def test_file_and_flag_leave_out_the_same_rules(
    tmp_path: Path, text: str, flags: tuple[str, ...], absent: str
) -> None:
    assert absent in render(tmp_path, HEAD).expect(0).stdout
    by_file = render(tmp_path, f"{HEAD}{text}\n").expect(0).stdout
    assert by_file == render(tmp_path, HEAD, *flags).expect(0).stdout
    assert absent not in by_file


@pytest.mark.parametrize(
    ("text", "flags", "same_as"),
    [
        (
            "clusterCIDR: 10.1.0.0/16",
            ("--cluster-cidr", "10.9.0.0/16"),
            "clusterCIDR: 10.9.0.0/16",
        ),
        (
            "iptables: {masqueradeBit: 3, masqueradeAll: true}",
            ("--iptables-masquerade-bit", "10"),
            "iptables: {masqueradeBit: 10, masqueradeAll: true}",
        ),
        (
            "iptables: {masqueradeAll: true}",
            ("--masquerade-all", "false"),
            "iptables: {masqueradeAll: false}",
        ),
        (
            "nodePortAddresses: [10.0.0.0/8]",
            ("--nodeport-addresses", "primary"),
            "nodePortAddresses: [primary]",
        ),
        (
            "featureGates: {AllowServiceExternalIPs: false}",
            ("--feature-gates", "AllowServiceExternalIPs=true"),
            "featureGates: {AllowServiceExternalIPs: true}",
        ),
    ],
)
def test_a_flag_goes_before_the_file(
    tmp_path: Path, text: str, flags: tuple[str, ...], same_as: str
) -> None:
    both = render(tmp_path, f"{HEAD}{text}\n", *flags).expect(0).stdout
    assert both == render(tmp_path, f"{HEAD}{same_as}\n").expect(0).stdout
    assert both != render(tmp_path, f"{HEAD}{text}\n").expect(0).stdout


def test_a_fault_of_a_flag_names_the_flag_and_one_of_the_file_the_field(tmp_path: Path) -> None:
    text = f"{HEAD}clusterCIDR: x\nbindAddress: here\n"
    finished = render(tmp_path, text, "--cluster-cidr", "z").expect(2)
    assert finished.said("error") == [
        '--cluster-cidr: "z" is no CIDR; write it like 10.244.0.0/16',
        f'{tmp_path / "config.yaml"}: bindAddress: "here" is no IP address',
        "2 faults; nothing was written",
    ]
