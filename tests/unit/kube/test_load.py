"""The whole way: from text to sound, complete objects, the same every time."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nodeport_rules.kube.load import load
from nodeport_rules.kube.objects import Node, ObjectMeta

MANIFESTS = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web, tier: x},
       ipFamilyPolicy: PreferDualStack,
       ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 81, targetPort: none}]}
---
apiVersion: v1
kind: Service
metadata: {name: bad}
spec: {ports: [{port: 0}, {port: 0}], externalIPs: [x, z]}
---
apiVersion: v1
kind: Service
metadata: {name: types}
spec: {ports: [{port: a}], type: 3}
---
apiVersion: v1
kind: Endpoints
metadata: {name: db}
subsets: [{addresses: [{ip: 10.0.0.9}], ports: [{port: 3306}]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 5
  template:
    metadata: {labels: {app: web, tier: x, more: "1"}}
    spec: {containers: [{ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Secret
---
apiVersion: v1
kind: ConfigMap
"""

_SHOW = """
import sys
from nodeport_rules.kube.load import load
result = load(["-"])
for part in (result.snapshot, result.notes, result.passed_over):
    print(part)
print(*result.assumptions, *result.faults, sep="\\n")
"""


def test_only_sound_and_complete_objects_come_out() -> None:
    result = load(["-"], stdin=io.BytesIO(MANIFESTS.encode()))
    assert [item.name for item in result.snapshot.services] == ["web"]
    assert [item.name for item in result.snapshot.slices] == [
        "db-mirrored-0000-ipv4",
        "web-assumed-ipv4",
        "web-assumed-ipv6",
    ]
    assert result.passed_over == {"ConfigMap": 1, "Secret": 1}
    assert [f"{fault.where}: {fault.field}" for fault in result.faults] == [
        "standard input, document 3 (line 13): spec.type",
        "standard input, document 3 (line 13): spec.ports[0].port",
        "standard input, document 2 (line 8): spec.ports[0].port",
        "standard input, document 2 (line 8): spec.ports[1].port",
        "standard input, document 2 (line 8): spec.ports[0].name",
        "standard input, document 2 (line 8): spec.ports[1].name",
        "standard input, document 2 (line 8): spec.ports[1]",
        "standard input, document 2 (line 8): spec.externalIPs[0]",
        "standard input, document 2 (line 8): spec.externalIPs[1]",
        "standard input, document 1 (line 1): spec.ports[1].targetPort",
    ]
    assert result.snapshot.origin("Service", "default", "web") == (
        "standard input, document 1 (line 1)"
    )


def test_no_dependence_on_the_hash_seed() -> None:
    shown = set()
    for seed in ("0", "1", "42", "4242"):
        run = subprocess.run(
            [sys.executable, "-c", _SHOW],
            input=MANIFESTS,
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        shown.add(run.stdout)
    assert len(shown) == 1
    assert len(shown.pop()) > 1000


def test_extra_objects_give_way_to_those_read() -> None:
    text = "apiVersion: v1\nkind: Node\nmetadata: {name: b, labels: {from: file}}\n"
    extra = [Node(metadata=ObjectMeta(name=name)) for name in ("b", "a")]
    result = load(["-"], stdin=io.BytesIO(text.encode()), extra_objects=extra)
    assert [(item.name, item.labels) for item in result.snapshot.nodes] == [
        ("a", {}),
        ("b", {"from": "file"}),
    ]


RECORDINGS = sorted(
    Path(__file__).parents[2].glob("conformance/recordings/*/objects.json")
) or sorted(Path(__file__).parents[2].glob("conformance/*/objects.json"))


@pytest.mark.parametrize("path", RECORDINGS, ids=[path.parent.name for path in RECORDINGS])
def test_objects_of_a_real_api_server_are_complete(path: Path) -> None:
    result = load([str(path)])
    assert (result.faults, result.assumptions, result.notes) == ((), (), ())
