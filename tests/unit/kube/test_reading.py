"""Files, folders and standard input as objects, places, faults, notes and counts."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeport_rules.kube.read import ReadResult, read_sources

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{port: 80}]}\n"


def from_stdin(text: str | bytes) -> ReadResult:
    content = text if isinstance(text, bytes) else text.encode()
    return read_sources(["-"], io.BytesIO(content))


def service(name: str, **more: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, **more}


def names(result: ReadResult) -> list[str]:
    return [item.name for item in result.snapshot.services]


def faults(result: ReadResult) -> list[str]:
    return [str(fault) for fault in result.faults]


FORMS: list[tuple[str, str | bytes, dict[str, str]]] = [
    ("one document", SERVICE % "a", {"a": "standard input"}),
    (
        "documents",
        SERVICE % "a" + "---\n# c\n" + SERVICE % "b",
        {
            "a": "standard input, document 1 (line 1)",
            "b": "standard input, document 2 (line 7)",
        },
    ),
    ("JSON object", json.dumps(service("a")), {"a": "standard input"}),
    (
        "JSON List",
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [service("b"), service("a")]}),
        {"a": "standard input, item 2", "b": "standard input, item 1"},
    ),
    (
        "JSON list of a kind, items without kind",
        '{"apiVersion": "v1", "kind": "ServiceList", "items": [{"metadata": {"name": "a"}}]}',
        {"a": "standard input, item 1"},
    ),
    (
        "YAML List",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n"
        "  metadata: {name: a}\n",
        {"a": "standard input, item 1"},
    ),
    (
        "List in a List",
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "List",
                "items": [{"apiVersion": "v1", "kind": "List", "items": [service("a")]}],
            }
        ),
        {"a": "standard input, item 1, item 1"},
    ),
    (
        "JSON objects in a row",
        json.dumps(service("a")) + "\n" + json.dumps(service("b"), indent=1) + "\n",
        {
            "a": "standard input, document 1 (line 1)",
            "b": "standard input, document 2 (line 2)",
        },
    ),
    ("byte order mark", b"\xef\xbb\xbf" + (SERVICE % "a").encode(), {"a": "standard input"}),
    (
        "byte order mark, JSON",
        b"\xef\xbb\xbf" + json.dumps(service("a")).encode(),
        {"a": "standard input"},
    ),
    ("empty List", '{"apiVersion": "v1", "kind": "List", "items": []}', {}),
    ("List of null", '{"apiVersion": "v1", "kind": "List", "items": null}', {}),
    ("null spec", json.dumps(service("a", spec=None, status=None)), {"a": "standard input"}),
    ("flow YAML", "{apiVersion: v1, kind: Service, metadata: {name: a}}", {"a": "standard input"}),
]


@pytest.mark.parametrize(("text", "places"), [row[1:] for row in FORMS], ids=[r[0] for r in FORMS])
def test_forms(text: str | bytes, places: dict[str, str]) -> None:
    result = from_stdin(text)
    assert faults(result) == []
    assert {key[2]: place for key, place in result.snapshot.origins.items()} == places
    assert names(result) == sorted(places)


BAD: list[tuple[str, str | bytes, str]] = [
    ("empty", "", "standard input: holds no object"),
    ("comments", "# nothing\n---\n", "standard input: holds no object"),
    ("NUL", b"a: \x00", "standard input: holds NUL bytes; a manifest is text in UTF-8"),
    ("Latin-1", "a: caf\xe9".encode("latin-1"), "standard input: is not UTF-8 (byte 6)"),
    ("UTF-8 cut in JSON", b'{"a": "\xff"}', "standard input: is not UTF-8 (byte 7)"),
    ("no kind", "a: 1", "standard input: kind: is missing: say which kind it is"),
    ("text", "hello", "standard input: kind: is missing: this is no Kubernetes object"),
    ("JSON list", "[]", "standard input: kind: is missing: this is no Kubernetes object"),
    (
        "no version",
        "kind: Service\nmetadata: {name: a}",
        "standard input: Service: apiVersion: is missing: say which version it is",
    ),
    ("kind is no text", "kind: 3", "standard input: kind: is missing: say which kind it is"),
    (
        "JSON nested",
        '{"a":' * 100000,
        "standard input: is nested more than 200 levels deep (line 1)",
    ),
    (
        "hostile name in a message",
        json.dumps(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a\n\x1b[31m"}, "spec": 3}
        ),
        'standard input: Service "default/a\\n\\x1b[31m": spec: is the number 3, must be a mapping',
    ),
]


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in BAD], ids=[r[0] for r in BAD])
def test_bad_input_is_one_fault(text: str | bytes, message: str) -> None:
    assert faults(from_stdin(text)) == [message]


TYPES = [
    ({"metadata": {"name": 5}}, ["metadata.name: is the number 5, must be text"]),
    ({"metadata": None}, ["metadata: is missing"]),
    ({"metadata": []}, ["metadata: is a list, must be a mapping"]),
    ({"metadata": {"labels": {"a": 1}}}, ['metadata.labels["a"]: is the number 1, must be text']),
    ({"metadata": {"labels": {"a": None}}}, ['metadata.labels["a"]: is empty, must be text']),
    (
        {"spec": {"ports": [{"port": "80"}]}},
        ['spec.ports[0].port: is the text "80", must be a whole number'],
    ),
    (
        {"spec": {"ports": [{}, 7, {"port": 1.5, "targetPort": True}]}},
        [
            "spec.ports[0].port: is missing",
            "spec.ports[1]: is the number 7, must be a mapping",
            "spec.ports[2].port: is the number 1.5, must be a whole number",
            "spec.ports[2].targetPort: is true, must be a whole number or text",
        ],
    ),
    (
        {"spec": {"clusterIPs": "10.0.0.1", "publishNotReadyAddresses": "yes"}},
        [
            'spec.clusterIPs: is the text "10.0.0.1", must be a list',
            'spec.publishNotReadyAddresses: is the text "yes", must be true or false',
        ],
    ),
]


@pytest.mark.parametrize("form", ["raw", "value"])
@pytest.mark.parametrize(("fields", "messages"), TYPES)
def test_every_wrong_type_is_a_fault(
    fields: dict[str, object], messages: list[str], form: str
) -> None:
    item = {**service("a"), **fields}
    other = service("other")
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": [item, other]})
    if form == "value":
        content = json.dumps(item) + "\n" + json.dumps(other)
    result = from_stdin(content)
    assert [f"{fault.field}: {fault.message}" for fault in result.faults] == messages
    assert names(result) == ["other"]


def test_same_object_twice_names_both_places() -> None:
    result = from_stdin(SERVICE % "a" + "---\n" + SERVICE % "a")
    assert faults(result) == [
        "standard input, document 2 (line 6): Service default/a: is given twice: in standard "
        "input, document 1 (line 1) and in standard input, document 2 (line 6)"
    ]
    assert names(result) == ["a"]


def test_other_kinds_are_counted() -> None:
    result = from_stdin(
        "apiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: ConfigMap\n---\n"
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n---\n"
        "apiVersion: x.example/v1\nkind: PriceList\n---\n"
        'apiVersion: v1\nkind: "A\\nB"\n'
    )
    assert faults(result) == []
    assert names(result) == []
    assert result.passed_over == {
        '"A\\nB"': 1,
        "ConfigMap": 2,
        "PriceList": 1,
        'Service of "serving.knative.dev/v1"': 1,
    }


def test_kinds_of_all_groups() -> None:
    kinds = [
        ("v1", "Node"),
        ("v1", "Pod"),
        ("v1", "Endpoints"),
        ("networking.k8s.io/v1", "ServiceCIDR"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
    ]
    items: list[dict[str, object]] = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}} for version, kind in kinds
    ]
    items.append(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "a"},
            "addressType": "IPv4",
        }
    )
    result = from_stdin(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert faults(result) == []
    assert result.passed_over == {}
    snapshot = result.snapshot
    assert [len(found) for found in (snapshot.nodes, snapshot.pods, snapshot.endpoints)] == [1] * 3
    assert [len(found) for found in (snapshot.slices, snapshot.service_cidrs)] == [1] * 2
    assert [item.kind for item in snapshot.workloads] == [
        "DaemonSet",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
    ]


def test_repository_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "repo/a/service.yaml": SERVICE % "a",
        "repo/b/service.yml": SERVICE % "b",
        "repo/c.json": json.dumps(service("c")),
        "repo/kustomization.yaml": "resources: [a/service.yaml]\n",
        "repo/chart/values.yaml": "replicas: 3\n",
        "repo/chart/templates/service.yaml": "kind: Service\nmetadata:\n  name: {{ .Values.n }}\n",
        "repo/chart/templates/if.yaml": "{{- if .Values.x }}\n" + SERVICE % "t" + "{{- end }}\n",
        "repo/chart/templates/quoted.yaml": SERVICE % '"{{ .Values.name }}"',
        "repo/chart/templates/port.yaml": (SERVICE % "p").replace("80", '"{{ .Values.port }}"'),
        "repo/package.json": '{"name": "x"}',
        "repo/tsconfig.json": '{/* comment */ "a": 1}',
        "repo/empty.yaml": "# nothing\n",
        "repo/.git/config.yaml": SERVICE % "hidden",
        "repo/README.md": "# text",
    }
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)
    Path("repo/loop").symlink_to("..", target_is_directory=True)
    Path("repo/again.yaml").symlink_to("a/service.yaml")
    os.mkfifo("repo/pipe.yaml")
    result = read_sources(["repo"])
    assert faults(result) == []
    assert names(result) == ["a", "b", "c"]
    assert result.notes == (
        "passed over 8 files or documents that are no Kubernetes object: "
        "repo/chart/templates/if.yaml, repo/chart/templates/port.yaml, "
        "repo/chart/templates/quoted.yaml and 5 more",
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("kustomization.yaml", "resources: []\n", "kind: is missing: say which kind it is"),
        ("template.yaml", "a: {{ .Values.x }}\n", "has a mapping or a list as a key"),
        ("bad.json", "{", "is no JSON: Expecting property name"),
        ("bad.json", '{"a": 1} x', "is no JSON: Extra data (line 1, column 10)"),
        ("bad.json", "3", "is no JSON: it holds no object"),
    ],
)
def test_named_files_must_be_manifests(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    (fault,) = read_sources([str(tmp_path / name)]).faults
    assert message in str(fault)
    assert str(fault).startswith(str(tmp_path / name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"apiVersion: v1\nkind: Service\na: b: c\n", "is no YAML: mapping values"),
        (b"apiVersion: v1\nkind: Service\nkind: Pod\n", 'has the key "kind" twice'),
        (b"a: \xff\n", "is not UTF-8 (byte 3)"),
        (b"a: \x00\n", "holds NUL bytes"),
    ],
)
def test_broken_manifests_in_a_folder_are_faults(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    (tmp_path / "b.yaml").write_text(SERVICE % "b")
    result = read_sources([str(tmp_path)])
    assert [message in fault for fault in faults(result)] == [True]
    assert names(result) == ["b"]


def test_sources_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling/a.yaml").symlink_to("nowhere")
    cases = {
        str(tmp_path / "none.yaml"): "cannot be read: No such file or directory",
        str(tmp_path / "empty"): "is a folder without any .yaml, .yml or .json file",
        str(tmp_path / "dangling"): "cannot be read: No such file or directory",
        "": "is an empty name; give a file, a folder or -",
    }
    for source, message in cases.items():
        (fault,) = read_sources([source]).faults
        assert fault.message == message
    twice = read_sources(["-", "-"], io.BytesIO((SERVICE % "a").encode()))
    assert faults(twice) == ['standard input: is named twice; "-" can be given once']


def test_hostile_file_name_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "a\n\x1b[31m.yaml").write_bytes(b"\x00")
    (fault,) = read_sources([str(tmp_path)]).faults
    assert str(fault).isprintable()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "spec", "ports", "items", "kind", "name", "status", "port"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    kind=st.sampled_from(
        ["Service", "EndpointSlice", "Pod", "Deployment", "List", "Node", "NodeList"]
    ),
    value=values,
)
def test_no_json_raises(kind: str, value: object) -> None:
    group = {"EndpointSlice": "discovery.k8s.io/v1", "Deployment": "apps/v1"}.get(kind, "v1")
    body = value if isinstance(value, dict) else {"spec": value, "metadata": value}
    item = {"apiVersion": group, **body, "kind": kind}
    for content in (
        json.dumps(item),
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [item]}),
    ):
        result = from_stdin(content)
        assert all(str(fault).isprintable() for fault in result.faults)


@given(st.binary())
def test_no_bytes_raise(content: bytes) -> None:
    from_stdin(content)
