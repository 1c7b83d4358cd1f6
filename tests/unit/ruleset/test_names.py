"""Names of chains, against recorded ones."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeport_rules.ruleset import names

KERNEL_LIMIT = 28
"""XT_EXTENSION_MAXNAMELEN less the final NUL."""


@pytest.mark.parametrize(
    ("hashed", "suffix"),
    [
        ("default/web-servicetcp", "SZGXCNNBZLC4E3DM"),
        ("default/web-servicetcp10.244.1.6:80", "BWHSPG53GWEVTJOD"),
        # From listings of old releases, which always wrote the colon.
        ("default/livefire-nodeport-svc:tcp", "MR3UEIXJ6N3EVTP6"),
    ],
)
def test_recorded_names(hashed: str, suffix: str) -> None:
    assert names.hash_suffix(hashed) == suffix


@given(st.text())
def test_the_suffix_is_the_base32_of_the_sha256(text: str) -> None:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    if text.isascii():
        assert names.hash_suffix(text) == base64.b32encode(digest).decode()[:16]


def test_names_fit_into_the_kernel() -> None:
    longest = max(len(prefix) + 16 for prefix in names.PER_SERVICE_PREFIXES)
    assert longest <= KERNEL_LIMIT


def test_an_endpoints_chain() -> None:
    chain = names.endpoint_chain("default/web-service", "tcp", "10.244.1.6:80")
    assert chain == "KUBE-SEP-BWHSPG53GWEVTJOD"
    assert names.is_per_service(chain)
    assert not names.is_per_service("KUBE-SERVICES")
