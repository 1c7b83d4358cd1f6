"""Scripts through nft, in a namespace of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nodeport_rules.kernel import nft_tools
from nodeport_rules.kernel.errors import ToolFailed
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.model.family import Family

from .recordings import OURS_NFTABLES, state_of

TABLE = "add table ip tried\nadd chain ip tried one\nadd rule ip tried one counter accept\n"


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    with NetworkNamespace.create("nft") as created:
        yield created


def test_what_is_loaded_is_listed(namespace: NetworkNamespace) -> None:
    nft_tools.load(TABLE, namespace=namespace)
    listing = nft_tools.list_table("ip", "tried", namespace=namespace)
    assert "counter packets 0 bytes 0 accept" in listing
    bare = nft_tools.list_table("ip", "tried", namespace=namespace, stateless=True)
    assert "packets" not in bare


def test_a_refused_script_writes_nothing_and_says_where(namespace: NetworkNamespace) -> None:
    with pytest.raises(ToolFailed, match=r"\b4:"):
        nft_tools.load(f"{TABLE}add rule ip tried missing accept\n", namespace=namespace)
    with pytest.raises(ToolFailed, match="No such file or directory"):
        nft_tools.list_table("ip", "tried", namespace=namespace)


def test_nothing_reaches_another_namespace(namespace: NetworkNamespace) -> None:
    nft_tools.load(TABLE, namespace=namespace)
    with (
        NetworkNamespace.create("beside it") as other,
        pytest.raises(ToolFailed, match="No such file or directory"),
    ):
        nft_tools.list_table("ip", "tried", namespace=other)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("name", ["random-02", "random-11", "affinity-local", "large-cluster"])
def test_our_table_may_be_loaded_over_itself(
    name: str, family: Family, namespace: NetworkNamespace
) -> None:
    (text,) = (one.text for one in state_of(name, family).rulesets if one.name == OURS_NFTABLES)
    table: nft_tools.TableFamily = "ip" if family is Family.IPV4 else "ip6"
    nft_tools.load(text, namespace=namespace)
    once = nft_tools.list_table(table, "nodeport-rules", namespace=namespace)
    nft_tools.load(text, namespace=namespace)
    assert nft_tools.list_table(table, "nodeport-rules", namespace=namespace) == once
