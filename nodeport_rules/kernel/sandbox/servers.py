"""The sandbox's side of the echo servers: the one process, and the sockets handed to it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

from nodeport_rules.kernel.errors import KernelError
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.sandbox.topology import Protocol, family_of

BACKLOG = 4096
RECEIVE_BUFFER = 4 * 1024 * 1024
"""Bytes a UDP socket may hold that the server has not read yet."""

END_SECONDS = 5.0
"""How long the process may take to end by itself before it is killed."""


class EchoServers:
    """One process that answers for any number of machines; ends with `close`, or with us."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    str(Path(__file__).with_name("echo_server.py")),
                    str(theirs.fileno()),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._served: set[tuple[str, Protocol, str, int]] = set()

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def serve(
        self, name: str, namespace: NetworkNamespace, protocol: Protocol, address: str, port: int
    ) -> None:
        """Answer as `name` on this address and port of a namespace; doing so already is fine.

        Raises `KernelError` when the address cannot be bound or the process is gone.
        """
        if protocol == "sctp":
            raise KernelError("the sandbox has no SCTP servers: see sandbox/sctp.py")
        key = (name, protocol, address, port)
        if key in self._served:
            return
        version = socket.AF_INET if family_of(address) == "ipv4" else socket.AF_INET6
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with namespace.entered():
            bound = socket.socket(version, kind)
        with bound:
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind((address, port))
                if protocol == "tcp":
                    bound.listen(BACKLOG)
                else:
                    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                told = json.dumps({"pod": name, "protocol": protocol, "port": port})
                socket.send_fds(self._control, [told.encode()], [bound.fileno()])
            except OSError as error:
                raise KernelError(
                    f"cannot serve {protocol} on {address} port {port} as {name}: {error.strerror}"
                ) from error
        self._served.add(key)

    def close(self) -> None:
        """End the process and wait for it. May be repeated."""
        self._control.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            raise
