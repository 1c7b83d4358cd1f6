"""Network and user namespaces of the kernel, held by file descriptors alone.

A namespace made here has no name anywhere and no process of its own: it lives as long as something
refers to it, which is this object's descriptor, the sockets made inside it and the devices that
lead there. When the process ends, however it ends, the kernel removes the namespace by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from nodeport_rules.kernel.errors import NamespaceError

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

OWN_NETWORK = "/proc/thread-self/ns/net"


def _call(function: str, *arguments: int) -> None:
    """One of the C library's namespace calls, for the calling thread; raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class NetworkNamespace:
    """A network namespace that exists as long as it is open.

    `label` is only for messages.
    """

    def __init__(self, label: str, descriptor: int) -> None:
        self.label = label
        self._descriptor: int | None = descriptor

    @classmethod
    def create(cls, label: str) -> NetworkNamespace:
        """A new, empty namespace; raises `NamespaceError` when the kernel refuses."""
        before = os.open(OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                _call("unshare", CLONE_NEWNET)
            except OSError as error:
                raise NamespaceError(_why_no_network_namespace(error)) from error
            try:
                return cls(label, os.open(OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC))
            finally:
                _call("setns", before, CLONE_NEWNET)
        finally:
            os.close(before)

    def fileno(self) -> int:
        """The descriptor that keeps it; raises `NamespaceError` after `close`."""
        if self._descriptor is None:
            raise NamespaceError(f"the network namespace of {self.label} is closed already")
        return self._descriptor

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Put the calling thread into the namespace for the length of a `with` block.

        Sockets made and programs started inside the block belong to the namespace for good.
        """
        before = os.open(OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("setns", self.fileno(), CLONE_NEWNET)
            try:
                yield
            finally:
                _call("setns", before, CLONE_NEWNET)
        finally:
            os.close(before)

    def set_sysctls(self, values: Mapping[str, str]) -> None:
        """Write sysctls of this namespace: names below net/ with slashes, values as text.

        Raises `NamespaceError` with the first that cannot be written. The host's own sysctls are
        out of reach here: /proc/sys/net shows each thread those of its own namespace.
        """
        with self.entered():
            for name, value in values.items():
                try:
                    Path("/proc/sys/net", name).write_text(value)
                except OSError as error:
                    raise NamespaceError(
                        f"cannot set the sysctl net/{name} to {value} in the network namespace of "
                        f"{self.label}: {error.strerror}"
                    ) from error

    def close(self) -> None:
        """Let it go; the kernel removes it when nothing else refers to it. May be repeated."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> NetworkNamespace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _why_no_network_namespace(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return (
            "this host allows no more network namespaces; raise the sysctl user.max_net_namespaces"
        )
    return (
        f"this process may not make a network namespace ({error.strerror}); run it as root, or as "
        "a user on a host that allows unprivileged user namespaces"
    )


def become_root_of_a_user_namespace() -> None:
    """Move this process into a new user namespace in which it is root, and a network of its own.

    What it may do on the host stays what its user may do; it gains the right to make network
    namespaces and to do as it likes inside those. It leaves the host's network namespace, as it
    could not come back to that one from another. Cannot be undone. The process must have one
    thread only. Raises `NamespaceError` when the host does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        _call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError as error:
        raise NamespaceError(_why_no_user_namespace(error)) from error


def _why_no_user_namespace(error: OSError) -> str:
    if error.errno == errno.EINVAL:
        return "a user namespace can only be entered by a process with one thread; run as root"
    return (
        "not root, and this host does not let ordinary users make user namespaces "
        f"({error.strerror}); run as root, or allow them: sysctl user.max_user_namespaces above 0, "
        "and where the host has them kernel.unprivileged_userns_clone=1, "
        "kernel.apparmor_restrict_unprivileged_userns=0"
    )


def ensure_network_namespaces() -> None:
    """See to it that this process may make network namespaces, by a user namespace if need be.

    Raises `NamespaceError` with what is in the way.
    """
    try:
        NetworkNamespace.create("a first try").close()
    except NamespaceError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EPERM:
            raise
        become_root_of_a_user_namespace()
        NetworkNamespace.create("a second try").close()
