"""The tools: iptables in a namespace, nfacct counters, connection tracking, and their errors."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import get_args

import pytest

from nodeport_rules.kernel import accounting, conntrack, iptables_tools
from nodeport_rules.kernel.errors import KernelError, NamespaceError, ToolFailed, ToolMissing
from nodeport_rules.kernel.iptables_tools import CountedRule, Family, RestoreFailed
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.processes import find_program, run
from nodeport_rules.kernel.restore_blocks import split_blocks


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    with NetworkNamespace.create("the test") as made:
        with made.entered():
            run(["ip", "link", "set", "lo", "up"])
        yield made


@pytest.mark.parametrize("family", get_args(Family))
def test_restore_adds_to_what_is_there(namespace: NetworkNamespace, family: Family) -> None:
    host = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -j ACCEPT\nCOMMIT\n"
    iptables_tools.restore(family, host, namespace=namespace)
    ours = "*filter\n:OURS - [0:0]\n-I INPUT 1 -j OURS\nCOMMIT\n"
    iptables_tools.restore(family, ours, namespace=namespace)
    saved = iptables_tools.save(family, namespace=namespace, table="filter").splitlines()
    assert ":INPUT DROP [0:0]" in saved
    rules = [line for line in saved if line.startswith("-A")]
    assert rules == ["-A INPUT -j OURS", "-A INPUT -p tcp -j ACCEPT"]


@pytest.mark.parametrize("family", get_args(Family))
def test_clear_empties_the_tables(namespace: NetworkNamespace, family: Family) -> None:
    text = "*nat\n:OURS - [0:0]\n-A PREROUTING -j OURS\nCOMMIT\n"
    iptables_tools.restore(family, text, namespace=namespace)
    iptables_tools.clear(family, namespace=namespace)
    assert "OURS" not in iptables_tools.save(family, namespace=namespace)


def test_a_refused_line_is_shown_with_its_neighbours(namespace: NetworkNamespace) -> None:
    text = "*filter\n:OURS - [0:0]\n-A OURS -j ACCEPT\n-A OURS --no-such-option\n-A OURS -j DROP\n"
    with pytest.raises(RestoreFailed) as caught:
        iptables_tools.restore("ipv4", text + "COMMIT\n", namespace=namespace)
    assert caught.value.line == 4
    message = str(caught.value)
    assert "in the network namespace of the test" in message
    assert "iptables-restore" in message
    assert ">      4: -A OURS --no-such-option" in message
    assert "       3: -A OURS -j ACCEPT" in message
    assert "       5: -A OURS -j DROP" in message


def test_more_rules_than_one_message_of_an_ordinary_user_holds(
    namespace: NetworkNamespace,
) -> None:
    """In a user namespace one block of these would be "Message too long"."""
    number = 2000
    rules = [
        f'-A OURS -s 10.0.{n // 256}.{n % 256}/32 -m comment --comment "{n:200}" -j ACCEPT'
        for n in range(number)
    ]
    text = "\n".join(["*filter", ":OURS - [0:0]", *rules, "-I INPUT 1 -j OURS", "COMMIT", ""])
    iptables_tools.restore("ipv4", text, namespace=namespace)
    saved = iptables_tools.save("ipv4", namespace=namespace, table="filter").splitlines()
    assert [line for line in saved if line.startswith("-A OURS")] == rules
    assert saved.count("-A INPUT -j OURS") == 1


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (9, "*nat\n:A - [0:0]\n-A A -j B\n-A A -j C\nCOMMIT\n*filter\n-A X\nCOMMIT\n"),
        (
            2,
            "*nat\n:A - [0:0]\n-A A -j B\nCOMMIT\n*nat\n-A A -j C\nCOMMIT\n*filter\n-A X\nCOMMIT\n",
        ),
        (
            1,
            "*nat\n:A - [0:0]\nCOMMIT\n*nat\n-A A -j B\nCOMMIT\n*nat\n-A A -j C\nCOMMIT\n"
            "*filter\n-A X\nCOMMIT\n",
        ),
    ],
)
def test_splitting_blocks(limit: int, expected: str) -> None:
    text = "*nat\n:A - [0:0]\n-A A -j B\n-A A -j C\nCOMMIT\n*filter\n-A X\nCOMMIT\n"
    assert split_blocks(text, limit) == expected


def test_a_full_block_ends_once_whatever_comes_after_it() -> None:
    text = "*nat\n:A - [0:0]\nCOMMIT\n\n# between\n*filter\n:B - [0:0]\nCOMMIT\n"
    assert split_blocks(text, 1) == text


def test_rules_with_counters(namespace: NetworkNamespace) -> None:
    text = (
        "*filter\n:OURS - [0:0]\n"
        '-A OUTPUT -p tcp -m comment --comment "not -j THIS" -j OURS\n'
        "-A OURS -m mark --mark 0x1\nCOMMIT\n"
    )
    iptables_tools.restore("ipv4", text, namespace=namespace)
    assert iptables_tools.counted_rules("ipv4", "filter", namespace=namespace) == (
        CountedRule("OUTPUT", '-p tcp -m comment --comment "not -j THIS" -j OURS', "OURS", 0),
        CountedRule("OURS", "-m mark --mark 0x1", "", 0),
    )


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(KernelError, match="iptables has no table 'nat -F'"):
        iptables_tools.save("ipv4", table="nat -F")


def test_counters_are_made_once_and_keep_their_values(namespace: NetworkNamespace) -> None:
    assert accounting.read_counters(namespace=namespace) == ()
    assert not accounting.counters_exist(namespace=namespace)
    accounting.create_counters(namespace=namespace)
    name = accounting.KUBE_PROXY_COUNTERS[1]
    text = f"*filter\n-A OUTPUT -p udp -m nfacct --nfacct-name {name}\nCOMMIT\n"
    iptables_tools.restore("ipv4", text, namespace=namespace)
    send_datagram(namespace)
    accounting.create_counters(namespace=namespace)
    counters = {one.name: one for one in accounting.read_counters(namespace=namespace)}
    assert sorted(counters) == sorted(accounting.KUBE_PROXY_COUNTERS)
    assert (counters[name].packets, counters[name].bytes) == (1, 20 + 8 + 2)
    assert accounting.counters_exist(namespace=namespace)


def send_datagram(namespace: NetworkNamespace) -> None:
    """Two bytes over UDP from 127.0.0.1 port 1000 to port 2000."""
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 1000))
        sender.sendto(b"hi", ("127.0.0.1", 2000))


@pytest.mark.parametrize("name", ["", "two words", "a\0b", "x" * 32, "ünicode"])
def test_malformed_counter_names_are_refused(name: str) -> None:
    with pytest.raises(KernelError, match="cannot be the name of an nfacct counter"):
        accounting.create_counters([name])


def test_tracked_connections(namespace: NetworkNamespace) -> None:
    text = "*nat\n-A OUTPUT -p udp -m udp --dport 2000 -j DNAT --to-destination :3000\nCOMMIT\n"
    iptables_tools.restore("ipv4", text, namespace=namespace)
    send_datagram(namespace)
    (found,) = conntrack.read_connections("ipv4", namespace=namespace, protocol="udp")
    assert found.protocol == 17
    assert found.original == conntrack.Tuple("127.0.0.1", 1000, "127.0.0.1", 2000)
    assert found.translated_to == ("127.0.0.1", 3000)
    assert not found.masqueraded
    assert conntrack.read_connections("ipv4", namespace=namespace, protocol="tcp") == ()
    conntrack.forget_connections("ipv4", namespace=namespace)
    assert conntrack.read_connections("ipv4", namespace=namespace, protocol="udp") == ()


def test_a_missing_program_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodeport_rules.kernel.processes.search_path", lambda: "/nowhere")
    with pytest.raises(ToolMissing) as caught:
        find_program("ip6tables-restore")
    assert str(caught.value) == (
        "the program ip6tables-restore is not on this machine; install it "
        "(Debian: apt install iptables)"
    )


def test_programs_are_found_without_sbin_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_program("iptables-restore").endswith("/iptables-restore")


def test_a_failure_shows_command_status_and_what_it_said() -> None:
    with pytest.raises(ToolFailed, match=r"ip link show nobody: exit status 1: .*nobody") as caught:
        run(["ip", "link", "show", "nobody"])
    assert caught.value.status == 1
    with pytest.raises(ToolFailed, match=r"sleep 5: not finished after 0\.05 s, stopped"):
        run(["sleep", "5"], timeout=0.05)


def test_a_closed_namespace_cannot_be_used() -> None:
    namespace = NetworkNamespace.create("the test")
    namespace.close()
    namespace.close()
    with pytest.raises(NamespaceError, match="of the test is closed already"), namespace.entered():
        pass


def test_a_sysctl_that_is_not_there_is_named(namespace: NetworkNamespace) -> None:
    with pytest.raises(NamespaceError, match=r"cannot set the sysctl net/ipv4/nothing to 1"):
        namespace.set_sysctls({"ipv4/nothing": "1"})
