"""All that is wrong with one object is said at once, whatever kind of fault it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeport_rules.kube.load import load

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: Web}
spec:
  clusterIP: 10.96.0.300
  externalTrafficPolicy: Locl
  selector: [app]
  ports:
  - {port: 800000, name: a}
  - {port: "80", name: b, protocol: tcp}
  - {name: c}
---
apiVersion: v1
kind: Service
metadata: {name: sound}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
"""


def test_wrong_types_do_not_hide_wrong_values(tmp_path: Path) -> None:
    source = tmp_path / "web.yaml"
    source.write_text(MANIFEST)
    loaded = load([str(source)])
    assert [service.name for service in loaded.snapshot.services] == ["sound"]
    assert sorted(fault.field for fault in loaded.faults) == [
        "metadata.name",
        "spec.clusterIP",
        "spec.externalTrafficPolicy",
        "spec.ports[0].port",
        "spec.ports[1].port",
        "spec.ports[1].protocol",
        "spec.ports[2].port",
        "spec.selector",
    ]
    assert all(fault.where.startswith(f"{source}, document 1") for fault in loaded.faults)


FAULTY_SLICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {nodeName: node-1}
status: {podIP: 10.244.0.9, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
FAULT
endpoints: [{addresses: [10.244.0.5]}]
ports: [{name: "", port: 80}]
"""


@pytest.mark.parametrize("fault", ["addressType: IPv5", "addressType: 4"])
def test_endpoints_set_aside_as_faulty_are_not_assumed_anew(tmp_path: Path, fault: str) -> None:
    source = tmp_path / "web.yaml"
    source.write_text(FAULTY_SLICE.replace("FAULT", fault))
    loaded = load([str(source)])
    assert [one.field for one in loaded.faults] == ["addressType"]
    assert loaded.snapshot.slices == ()
    source.write_text(FAULTY_SLICE.split("---\napiVersion: discovery")[0])
    assert len(load([str(source)]).snapshot.slices) == 1
