"""The kernel's named packet counters (nfacct), which some rules of kube-proxy count into.

A rule that names a counter loads only where the counter exists, and iptables cannot make one.
Counters belong to a network namespace. pyroute2 knows the protocol but not these messages; they are
described here after the kernel's include/uapi/linux/netfilter/nfnetlink_acct.h.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nodeport_rules.kernel.errors import KernelError
from nodeport_rules.kernel.namespaces import NetworkNamespace

KUBE_PROXY_COUNTERS = ("ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts")
"""The counters that kube-proxy's rules name."""

MAX_NAME = 31
"""Longest name of a counter in bytes (NFACCT_NAME_MAX less the final NUL)."""

NFNL_MSG_ACCT_NEW = 0
NFNL_MSG_ACCT_GET = 1


@dataclass(frozen=True)
class Counter:
    """One named counter: packets and bytes since it was made."""

    name: str
    packets: int
    bytes: int


class _Channel:
    """An open netlink socket and the class of the messages that go through it.

    pyroute2 is imported only here: it takes about a tenth of a second, and compiling files must
    work where it is not installed.
    """

    def __init__(self) -> None:
        from pyroute2.netlink import NETLINK_NETFILTER
        from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_ACCT, nfgen_msg
        from pyroute2.netlink.nlsocket import NetlinkSocket

        class AccountingMessage(nfgen_msg):  # type: ignore[misc]
            prefix = "NFACCT_"
            nla_map = (
                ("NFACCT_UNSPEC", "none"),
                ("NFACCT_NAME", "asciiz"),
                ("NFACCT_PKTS", "be64"),
                ("NFACCT_BYTES", "be64"),
                ("NFACCT_USE", "be32"),
            )

        self._message = AccountingMessage
        self._subsystem = NFNL_SUBSYS_ACCT << 8
        self._socket = NetlinkSocket(family=NETLINK_NETFILTER)
        self._socket.register_policy(
            {
                self._subsystem | kind: AccountingMessage
                for kind in (NFNL_MSG_ACCT_NEW, NFNL_MSG_ACCT_GET)
            }
        )

    def request(
        self, kind: int, flags: int, attributes: Sequence[tuple[str, object]] = ()
    ) -> list[Any]:
        message = self._message()
        message["attrs"] = list(attributes)
        return list(
            self._socket.nlm_request(message, msg_type=self._subsystem | kind, msg_flags=flags)
        )

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def _channel(namespace: NetworkNamespace | None) -> Iterator[_Channel]:
    from pyroute2.netlink.exceptions import NetlinkError

    with namespace.entered() if namespace else contextlib.nullcontext():
        channel = _Channel()
        try:
            yield channel
        except NetlinkError as error:
            raise KernelError(
                f"the kernel refused a request about its nfacct counters: {error}; it needs root "
                "in the network namespace and a kernel with CONFIG_NETFILTER_NETLINK_ACCT"
            ) from error
        finally:
            channel.close()


def create_counters(
    names: Sequence[str] = KUBE_PROXY_COUNTERS, *, namespace: NetworkNamespace | None = None
) -> None:
    """Make the counters that are not there yet; those that are keep their values.

    `namespace` None means the one that this process is in. Raises `KernelError`.
    """
    from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST
    from pyroute2.netlink.exceptions import NetlinkError

    for name in names:
        if not name.isascii() or not name.isidentifier() or len(name) > MAX_NAME:
            raise KernelError(f"{name!r} cannot be the name of an nfacct counter")
    with _channel(namespace) as channel:
        for name in names:
            try:
                channel.request(
                    NFNL_MSG_ACCT_NEW,
                    NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
                    [("NFACCT_NAME", name)],
                )
            except NetlinkError as error:
                if error.code != errno.EEXIST:
                    raise


def read_counters(*, namespace: NetworkNamespace | None = None) -> tuple[Counter, ...]:
    """All counters there are, in order of name; raises `KernelError`."""
    from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST

    with _channel(namespace) as channel:
        answers = channel.request(NFNL_MSG_ACCT_GET, NLM_F_REQUEST | NLM_F_DUMP)
    return tuple(
        sorted(
            (
                Counter(
                    name=answer.get_attr("NFACCT_NAME"),
                    packets=answer.get_attr("NFACCT_PKTS"),
                    bytes=answer.get_attr("NFACCT_BYTES"),
                )
                for answer in answers
            ),
            key=lambda counter: counter.name,
        )
    )


def counters_exist(
    names: Sequence[str] = KUBE_PROXY_COUNTERS, *, namespace: NetworkNamespace | None = None
) -> bool:
    """Whether every one of the counters is there, so that rules may name them."""
    return set(names) <= {counter.name for counter in read_counters(namespace=namespace)}
