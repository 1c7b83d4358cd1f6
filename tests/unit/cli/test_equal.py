"""`nodeport-rules equal`: what it takes, what it says, how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import run

RECORDINGS = Path(__file__).parents[2] / "conformance" / "recordings"
STATE = RECORDINGS / "lb-source-ranges"
OBJECTS = str(STATE / "objects.json")
IPTABLES = ("--config", str(STATE / "config.iptables.yaml"), "--nfacct")
NFTABLES = (
    *("--config", str(STATE / "config.nftables.yaml")),
    "--service-cidr=10.96.0.0/16,fd00:10:96::/112",
)


@pytest.mark.parametrize(
    ("one", "other", "settings"),
    [
        (OBJECTS, OBJECTS, IPTABLES),
        (OBJECTS, str(STATE / "iptables.save"), IPTABLES),
        (str(STATE / "ip6tables.save"), OBJECTS, IPTABLES),
        (OBJECTS, str(STATE / "nftables.ip.nft"), NFTABLES),
        (str(STATE / "nftables.ip6.nft"), OBJECTS, NFTABLES),
    ],
)
def test_what_is_alike(one: str, other: str, settings: tuple[str, ...]) -> None:
    found = run("equal", one, other, *settings).expect(0)
    assert "alike" in found.stdout


def test_two_dumps_compare_without_objects() -> None:
    dump = str(STATE / "iptables.save")
    run("equal", dump, dump, "--node-address=192.168.1.100").expect(0)


def test_a_difference_is_shown_with_both_ways(tmp_path: Path) -> None:
    changed = tmp_path / "changed.save"
    text = (STATE / "iptables.save").read_text()
    changed.write_text(text.replace("--probability 0.33333333349", "--probability 0.30000000028"))
    found = run("equal", OBJECTS, str(changed), *IPTABLES).expect(1)
    assert "IPv4: different" in found.stdout
    assert "to 10.244.0.5 port 8080 30.0%" in found.stdout
    assert "to 10.244.0.5 port 8080 33.3%" in found.stdout


def test_known_differences_between_the_modes_are_set_aside_by_name() -> None:
    settings = ("--config", str(STATE / "config.iptables.yaml"), "--service-cidr=10.96.0.0/16")
    run("equal", OBJECTS, OBJECTS, *settings).expect(0)
    found = run("equal", OBJECTS, OBJECTS, "--between-modes", *settings).expect(0)
    assert "set aside: node port on 127.0.0.1: " in found.stdout
    assert "IPv4: alike" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((OBJECTS, "/nonexistent"), "cannot be read"),
        ((OBJECTS, OBJECTS, "--backend=ipvs"), "--backend"),
        ((OBJECTS, OBJECTS, "--backend=iptables", "--between-modes"), "exclude each other"),
        (
            (str(STATE / "iptables.save"), str(STATE / "nftables.ip.nft"), "--between-modes"),
            "one side has to be objects",
        ),
        ((OBJECTS, str(STATE / "iptables.save"), "--family=ipv6"), "has no IPv6 rules"),
    ],
)
def test_errors(arguments: tuple[str, ...], words: str) -> None:
    found = run("equal", *arguments).expect(2)
    assert any(words in message for message in found.said("error")), found.stderr


def test_rules_that_are_not_understood_make_nothing_certain(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.save"
    text = (STATE / "iptables.save").read_text()
    foreign.write_text(
        text.replace("-A FORWARD ", "-A FORWARD -m quota --quota 5 -j ACCEPT\n-A FORWARD ", 1)
    )
    found = run("equal", str(foreign), str(foreign), "--node-address=192.168.1.100").expect(2)
    assert any("not understood" in message for message in found.said("error")), found.stderr
