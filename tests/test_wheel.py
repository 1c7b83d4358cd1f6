"""What is shipped: the wheel works on its own, elsewhere, and holds what it needs."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, build_wheel
from tests.golden.cases import FOLDER as GOLDENS
from tests.running import run

MANIFESTS = GOLDENS / "web-service" / "manifests"

# Run before the command: importing one of the kernel's or the controller's packages fails.
BLOCKED = ("pyroute2", "nftables", "kopf")
BLOCKER = f"""
import runpy, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ImportError(f"{{name}} is not for this command")

sys.meta_path.insert(0, Blocker())
program = sys.argv[1]
del sys.argv[0]
runpy.run_path(program, run_name="__main__")
"""


def elsewhere(
    command: list[str], folder: Path, *, stdin: str = "", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Runs it in `folder`, with nothing of the checkout on Python's path."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def manifests_text() -> str:
    return "---\n".join(path.read_text() for path in sorted(MANIFESTS.iterdir()))


@pytest.mark.parametrize("family", ["ipv4", "ipv6", "dual"])
def test_the_installed_command_prints_what_the_checkout_prints(
    installed_command: Path, tmp_path: Path, family: str
) -> None:
    manifests = tmp_path / "web.yaml"
    manifests.write_text(manifests_text())
    arguments = ["render", "-f", str(manifests), "--family", family]
    installed = elsewhere([str(installed_command), *arguments], tmp_path)
    ours = run(*arguments).expect(0)
    assert installed.returncode == 0, installed.stderr
    assert installed.stdout == ours.stdout
    assert installed.stderr == ours.stderr
    assert "KUBE-SVC-" in installed.stdout or family == "ipv6"


def test_the_installed_command_uses_nothing_of_the_checkout(
    installed_command: Path, tmp_path: Path
) -> None:
    python = installed_command.parent / "python"
    code = "import nodeport_rules, sys; print(nodeport_rules.__file__); print(sys.path)"
    found = elsewhere([str(python), "-c", code], tmp_path)
    assert found.returncode == 0, found.stderr
    assert str(CHECKOUT) not in found.stdout
    assert str(installed_command.parent.parent) in found.stdout.splitlines()[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["render", "--help"],
        ["render", "-f", "-"],
        ["render", "-f", "-", "--family", "dual", "-o", "json", "-v"],
        ["render", "-f", "-", "-o", "rules"],
    ],
    ids=" ".join,
)
def test_offline_commands_work_where_the_kernel_packages_cannot_be_imported(
    installed_command: Path, tmp_path: Path, arguments: list[str]
) -> None:
    python = installed_command.parent / "python"
    found = elsewhere(
        [str(python), "-c", BLOCKER, str(installed_command), *arguments],
        tmp_path,
        stdin=manifests_text(),
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--version"], ("yaml", "jinja2", "nodeport_rules.kube", "nodeport_rules.iptables")),
        (["--help"], ("yaml", "jinja2", "nodeport_rules.kube", "nodeport_rules.iptables")),
        (["render", "-f", "-"], ("asyncio", "rich", "nodeport_rules.report")),
    ],
    ids=lambda value: " ".join(value),
)
def test_commands_import_no_more_than_they_need(
    installed_command: Path, tmp_path: Path, arguments: list[str], heavy: tuple[str, ...]
) -> None:
    """Lazy imports are what `--help` in 0.3 s depends on (decision 10 of the design)."""
    python = installed_command.parent / "python"
    command = [str(python), "-X", "importtime", str(installed_command), *arguments]
    found = elsewhere(command, tmp_path, stdin=manifests_text())
    assert found.returncode == 0, found.stderr
    imported = {
        line.rpartition("|")[2].strip()
        for line in found.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "nodeport_rules.cli.main" in imported
    unwanted = {
        name
        for name in imported
        for one in (*BLOCKED, "nodeport_rules.kernel", *heavy)
        if name == one or name.startswith(f"{one}.")
    }
    assert unwanted == set()


def test_every_user_of_the_host_can_run_the_installed_command(installed_command: Path) -> None:
    """The demo is tried as another user; a checkout may be closed to them."""
    for path in (installed_command, *installed_command.parents):
        if path == Path("/tmp") or path == Path("/"):
            break
        assert path.stat().st_mode & stat.S_IROTH, path
        assert path.stat().st_mode & stat.S_IXOTH, path


def contents_wanted() -> set[str]:
    """Paths inside the package of all files that have to travel."""
    package = {
        path.relative_to(CHECKOUT / "nodeport_rules").as_posix()
        for path in (CHECKOUT / "nodeport_rules").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    templates = {
        f"templates/{path.relative_to(CHECKOUT / 'templates').as_posix()}"
        for path in (CHECKOUT / "templates").rglob("*")
        if path.is_file()
    }
    return package | templates


def test_the_wheel_holds_the_package_its_examples_and_the_templates(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
    inside = {
        name.removeprefix("nodeport_rules/") for name in names if name.startswith("nodeport_rules/")
    }
    assert inside == contents_wanted()
    outside = {name.split("/")[0] for name in names if not name.startswith("nodeport_rules/")}
    assert all(name.endswith(".dist-info") for name in outside), outside


def test_a_wheel_can_be_built_from_the_source_archive(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path)]
    finished = subprocess.run(
        [*build, str(CHECKOUT)], capture_output=True, text=True, check=False, timeout=240
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"pyproject.toml", "README.md", "templates/iptables.rules.j2"} <= names
    assert {name for name in names if name.startswith(("tests/", "hack/", "."))} <= {".gitignore"}
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as built:
        inside = {
            name.removeprefix("nodeport_rules/")
            for name in built.namelist()
            if name.startswith("nodeport_rules/")
        }
    assert inside == contents_wanted()
