"""The same objects make the same bytes: whatever their order, and Python's hash seed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bench.state import make_state
from tests.golden.cases import all_cases
from tests.unit.cli.objects import write

SEEDS = ("0", "1", "2", "random")
SHUFFLES = (11, 22)


def all_objects() -> list[dict[str, Any]]:
    """Every object of every golden case that has no Nodes, and a cluster of 20 Services."""
    objects: list[dict[str, Any]] = json.loads(make_state(20, 3))["items"]
    for case in all_cases():
        if case.nodes == (None,):
            for path in sorted((case.folder / "manifests").iterdir()):
                objects += [found for found in yaml.safe_load_all(path.read_text()) if found]
    return objects


def render(path: str, seed: str, *more: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of a process of its own; paths in messages are blanked."""
    command = [sys.executable, "-m", "nodeport_rules", "render", "-f", path, "--node", "node-1"]
    finished = subprocess.run(
        [*command, "--family", "dual", *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    return finished.returncode, finished.stdout, finished.stderr.replace(path, "FILE")


def shuffled(objects: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The objects in another order, and inside them the order of their lists' members where it
    has no meaning (a slice's endpoints, the keys of mappings)."""
    chance = random.Random(seed)

    def mixed(value: Any) -> Any:
        if isinstance(value, dict):
            keys = chance.sample(list(value), len(value))
            return {key: mixed(value[key]) for key in keys}
        return [mixed(one) for one in value] if isinstance(value, list) else value

    made = [mixed(one) for one in chance.sample(objects, len(objects))]
    for one in made:
        if one["kind"] == "EndpointSlice":
            chance.shuffle(one["endpoints"])
    return made


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, str]:
    path = write(tmp_path_factory.mktemp("reference"), *all_objects())
    status, stdout, stderr = render(path, "0")
    assert status == 0, stderr
    assert stdout.count("-j DNAT") > 80
    assert "assumed" in stderr
    return status, stdout, stderr


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_neither_order_nor_hash_seed_changes_a_byte(
    tmp_path: Path, reference: tuple[int, str, str], seed: str, shuffle: int
) -> None:
    path = write(tmp_path, *shuffled(all_objects(), shuffle))
    assert render(path, seed) == reference


@pytest.mark.parametrize("seed", SEEDS)
def test_json_is_the_same_too(tmp_path: Path, seed: str) -> None:
    objects = all_objects()
    one = render(write(tmp_path, *objects), "0", "-o", "json")
    other = render(write(tmp_path, *shuffled(objects, 33)), seed, "-o", "json")
    assert one == other


def test_objects_in_several_files_are_as_in_one(
    tmp_path: Path, reference: tuple[int, str, str]
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    objects = shuffled(all_objects(), 44)
    for number in range(0, len(objects), 7):
        write(folder, *objects[number : number + 7], name=f"{number:03}.json")
    assert render(str(folder), "random") == reference
