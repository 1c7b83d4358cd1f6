"""Running the host's programs: an argument list, text in, text out, and errors that say why.

There is no shell here and no way to reach one: a program gets a list of arguments. Programs are
also looked for in the sbin directories, which an ordinary user's PATH often lacks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import NoReturn

from nodeport_rules.kernel.errors import ToolFailed, ToolMissing

SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")

DEBIAN_PACKAGES = {
    "ip": "iproute2",
    "conntrack": "conntrack",
    "nft": "nftables",
    **{
        f"{family}tables{variant}-{verb}": "iptables"
        for family in ("ip", "ip6")
        for variant in ("", "-nft", "-legacy")
        for verb in ("restore", "save")
    },
}

MAX_SHOWN_ERROR = 2000
"""Characters of a program's error output that are put into a message."""


def search_path() -> str:
    """The directories in which programs are looked for, as a PATH."""
    own = os.environ.get("PATH", os.defpath)
    known = own.split(os.pathsep)
    return os.pathsep.join([own, *(one for one in SYSTEM_DIRECTORIES if one not in known)])


def find_program(name: str) -> str:
    """The full path of the program `name`; raises `ToolMissing` when it is not installed."""
    found = shutil.which(name, path=search_path())
    if found is None:
        package = DEBIAN_PACKAGES.get(name)
        advice = f"; install it (Debian: apt install {package})" if package else "; install it"
        raise ToolMissing(f"the program {name} is not on this machine{advice}")
    return found


def run(
    argv: Sequence[str],
    *,
    text: str | None = None,
    timeout: float = 60.0,
    keep_open: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run one program to its end and return what it printed.

    `argv[0]` is a program's name. `text` goes to its standard input (none: it reads an empty one).
    `timeout` is in seconds. `keep_open` are file descriptors that it inherits under their own
    numbers. `environment` is added to this process's own. The program starts in the network
    namespace of the calling thread.

    Raises `ToolMissing`, and `ToolFailed` when it does not end with status 0 in time.
    """
    command = [find_program(argv[0]), *argv[1:]]
    try:
        done = subprocess.run(
            command,
            input=text if text is not None else "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            pass_fds=tuple(keep_open),
            env={**os.environ, "LC_ALL": "C", "PATH": search_path(), **(environment or {})},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(
            f"{' '.join(argv)}: not finished after {timeout:g} s, stopped",
            status=None,
            stderr=str(error.stderr or ""),
        ) from error
    if done.returncode != 0:
        _raise_failure(argv, done.returncode, done.stderr)
    return done.stdout


def _raise_failure(argv: Sequence[str], status: int, stderr: str) -> NoReturn:
    how = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
    said = stderr.strip()[:MAX_SHOWN_ERROR] or "(no error output)"
    raise ToolFailed(f"{' '.join(argv)}: {how}: {said}", status=status, stderr=stderr)
