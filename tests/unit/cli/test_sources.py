"""Where objects come from: standard input, helm's output, whole repositories, kubectl's output."""

from __future__ import annotations

from pathlib import Path

from tests.golden.cases import FOLDER as GOLDENS
from tests.running import run
from tests.unit.cli.objects import endpoint_slice, node_port_service, rules_with, write

WEB = GOLDENS / "web-service"

HELM = """\
---
# Source: shop/templates/serviceaccount.yaml
apiVersion: v1
kind: ServiceAccount
metadata:
  name: release-name-shop
automountServiceAccountToken: true
---
# Source: shop/templates/service.yaml
apiVersion: v1
kind: Service
metadata:
  name: release-name-shop
  labels:
    helm.sh/chart: shop-0.1.0
    app.kubernetes.io/managed-by: Helm
spec:
  type: NodePort
  ports:
    - port: 80
      targetPort: http
      protocol: TCP
      name: http
      nodePort: 30444
  selector:
    app.kubernetes.io/name: shop
    app.kubernetes.io/instance: release-name
---
# Source: shop/templates/ingress.yaml
---
# Source: shop/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: release-name-shop
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: shop
      app.kubernetes.io/instance: release-name
  template:
    metadata:
      labels:
        app.kubernetes.io/name: shop
        app.kubernetes.io/instance: release-name
    spec:
      serviceAccountName: release-name-shop
      containers:
        - name: shop
          image: "registry.example/shop:1.16.0"
          ports:
            - name: http
              containerPort: 8080
              protocol: TCP
---
# Source: shop/templates/tests/test-connection.yaml
apiVersion: v1
kind: Pod
metadata:
  name: "release-name-shop-test-connection"
  annotations:
    "helm.sh/hook": test
spec:
  containers:
    - name: wget
      image: busybox
      command: ['wget']
      args: ['release-name-shop:80']
  restartPolicy: Never

"""


def test_what_helm_template_prints_is_read_from_standard_input() -> None:
    finished = run("render", "-f", "-", stdin=HELM).expect(0)
    assert finished.said("error") == finished.said("warning") == []
    assert len(rules_with(finished.stdout, "-j DNAT", ":8080")) == 2
    assert rules_with(finished.stdout, "--dport 30444")


def test_standard_input_and_files_go_together(tmp_path: Path) -> None:
    service, slices = node_port_service(), endpoint_slice()
    alone = run("render", "-f", write(tmp_path, service, slices)).expect(0)
    file = write(tmp_path, slices)
    piped = Path(write(tmp_path, service, name="piped.json")).read_text()
    assert run("render", "-f", file, "-f", "-", stdin=piped).expect(0).stdout == alone.stdout


def test_faults_of_standard_input_say_where_they_are() -> None:
    text = HELM.replace("port: 80\n", "port: 80000\n")
    finished = run("render", "-f", "-", stdin=text).expect(2)
    assert finished.said("error") == [
        "standard input, document 2 (line 10): Service default/release-name-shop:"
        " spec.ports[0].port: is 80000, must be 1 to 65535"
    ]


def test_a_repository_with_more_than_manifests_in_it_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    (folder / "chart" / "templates").mkdir(parents=True)
    for path in (WEB / "manifests").iterdir():
        (folder / path.name).write_text(path.read_text())
    (folder / "README.md").write_text("# Nothing to read\n")
    (folder / "chart" / "values.yaml").write_text("replicaCount: 1\n")
    (folder / "chart" / "templates" / "service.yaml").write_text(
        "{{- if .Values.on }}\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\n{{- end }}\n"
    )
    (folder / ".github").mkdir()
    (folder / ".github" / "broken.yaml").write_text("[")
    finished = run("render", "-f", str(folder)).expect(0)
    assert finished.stdout == (WEB / "iptables.rules").read_text()
    notes = "\n".join(finished.said("note"))
    assert "chart/values.yaml" in notes
    assert "chart/templates/service.yaml" in notes
    assert ".github" not in finished.stderr


def test_a_template_named_on_the_command_line_is_an_error(tmp_path: Path) -> None:
    template = tmp_path / "service.yaml"
    template.write_text("metadata: {name: {{ .Release.Name }}}\n")
    finished = run("render", "-f", str(template)).expect(2)
    (error,) = finished.said("error")
    assert error.startswith(f"{template}: ")


def test_a_list_as_kubectl_prints_it_is_its_items(tmp_path: Path) -> None:
    parts = [path.read_text() for path in sorted((WEB / "manifests").iterdir())]
    indented = [part.strip().replace("\n", "\n  ") for part in parts]
    text = "apiVersion: v1\nkind: List\nmetadata:\n  resourceVersion: ''\nitems:\n- " + "\n- ".join(
        indented
    )
    assert run("render", "-f", "-", stdin=text).expect(0).stdout == (
        (WEB / "iptables.rules").read_text()
    )
