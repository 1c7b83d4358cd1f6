"""What the packet tests share: the right to make namespaces, and one cluster for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.sandbox import Sandbox

from .cluster import Cluster, topology


@pytest.fixture(scope="session", autouse=True)
def _namespaces_are_allowed() -> None:
    """Fail at once, and once, where the suite was not started with the rights it needs: as root,
    or inside `unshare --user --map-root-user --net --mount` (as `make test` does)."""
    NetworkNamespace.create("the test suite").close()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Sandbox(topology()) as sandbox:
        yield Cluster(sandbox, tmp_path_factory.mktemp("cluster"))
