"""What tests of every kind share: the command, installed as a user would install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
WHEELS = CHECKOUT / ".cache" / "wheels"
"""Wheels of everything that nodeport-rules needs, put there by `make test`."""

_INSTALL_SECONDS = 240


@pytest.fixture(scope="session")
def installed_command() -> Iterator[Path]:
    """The executable `nodeport-rules` in an environment that holds its wheel and nothing else.

    The environment is outside of the checkout, and every user of the host can run it. With the
    wheels of `make test` no network is needed; without them, pip fetches what is missing.
    """
    # Not pytest's tmp_path, which is closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="nodeport-rules-installed-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        environment = folder / "venv"
        _call([_base_python(), "-m", "venv", "--without-pip", str(environment)])
        wheel = build_wheel(folder)
        offline = (WHEELS / ".complete").exists()
        source = ["--no-index", "--find-links", str(WHEELS)] if offline else []
        _pip(["--python", str(environment / "bin" / "python"), "install", *source, str(wheel)])
        yield environment / "bin" / "nodeport-rules"
    finally:
        shutil.rmtree(folder)


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, built into `folder`."""
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    _pip(["wheel", *options, str(CHECKOUT)])
    (wheel,) = folder.glob("nodeport_rules-*.whl")
    return wheel


def _base_python() -> str:
    """The interpreter behind the environment that the tests run in."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _pip(arguments: Sequence[str]) -> None:
    _call([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments])


def _call(command: Sequence[str]) -> None:
    """Runs it, with files that others can read; fails with all it said."""
    finished = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_INSTALL_SECONDS,
        umask=0o022,
        # One's own settings of pip (an index, a target) are no part of the test.
        env={**os.environ, "PYTHONPATH": "", "PIP_ROOT_USER_ACTION": "ignore"},
    )
    assert finished.returncode == 0, f"{' '.join(command)}:\n{finished.stdout}{finished.stderr}"
