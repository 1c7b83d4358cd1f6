"""The process that answers for all pods of a sandbox. Run as a program; not for import.

It is given one descriptor, its end of a socket pair of datagrams. Each message brings a socket that
is bound already (made inside the pod's network namespace, where it stays) and JSON with the pod's
name, the protocol and the port. Whoever connects, or sends a datagram, gets a line of JSON: the
name, the address seen as source, the port that it came to. The process ends when the other end of
the pair is closed, which is also what happens when the sandbox's process is killed.

Only the standard library is used, and no module of this package, so that it starts quickly.
"""

import contextlib
import json
import selectors
import signal
import socket
import sys
from collections.abc import Callable

MAX_MESSAGE = 4096


class EchoServer:
    """One loop over the control socket, the pods' sockets and the open connections."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.selector = selectors.DefaultSelector()
        self.running = True
        self.selector.register(control, selectors.EVENT_READ, self.take_socket)

    def run(self) -> None:
        while self.running:
            for key, _ in self.selector.select():
                handler: Callable[[], None] = key.data
                handler()

    def take_socket(self) -> None:
        """A new socket to answer on, or the end."""
        message, descriptors, _, _ = socket.recv_fds(self.control, MAX_MESSAGE, 1)
        if not message:
            self.running = False
            return
        told = json.loads(message)
        bound = socket.socket(fileno=descriptors[0])
        bound.setblocking(False)
        answer = self.answer_connections if told["protocol"] == "tcp" else self.answer_datagrams
        self.selector.register(
            bound, selectors.EVENT_READ, lambda: answer(bound, told["pod"], told["port"])
        )

    def answer_connections(self, listening: socket.socket, pod: str, port: int) -> None:
        for _ in range(64):
            try:
                connection, peer = listening.accept()
            except BlockingIOError:
                return
            except OSError:
                continue
            connection.setblocking(False)
            try:
                connection.send(text_of(pod, peer[0], port))
            except OSError:
                connection.close()
                continue
            self.selector.register(connection, selectors.EVENT_READ, self.closer(connection))

    def closer(self, connection: socket.socket) -> Callable[[], None]:
        """Closes when the other side has: the waiting state after a close stays with the client,
        which avoids it by resetting."""

        def close() -> None:
            with contextlib.suppress(OSError):
                if connection.recv(MAX_MESSAGE):
                    return
            self.selector.unregister(connection)
            connection.close()

        return close

    def answer_datagrams(self, bound: socket.socket, pod: str, port: int) -> None:
        for _ in range(64):
            try:
                _, peer = bound.recvfrom(MAX_MESSAGE)
                bound.sendto(text_of(pod, peer[0], port), peer)
            except BlockingIOError:
                return
            except OSError:
                continue


def text_of(pod: str, source: str, port: int) -> bytes:
    return json.dumps({"pod": pod, "source": source, "port": port}).encode() + b"\n"


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    EchoServer(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
