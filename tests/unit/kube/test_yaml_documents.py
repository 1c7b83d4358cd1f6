"""YAML as Kubernetes reads it, and within bounds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeport_rules.kube.yaml_documents import plain_value, yaml_documents

SCALARS = [
    ("80", 80),
    ("-1", -1),
    ("+5", 5),
    ("0x1F", 31),
    ("0o17", 15),
    ("017", 15),
    ("0b101", 5),
    ("1_000", 1000),
    ("80.0", 80),
    ("1e3", 1000),
    ("1.5", 1.5),
    (".5", 0.5),
    ("08", 8),
    ("22:22", "22:22"),
    ("2020-01-01", "2020-01-01"),
    ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
    ("10.0.0.1", "10.0.0.1"),
    ("1.2.3", "1.2.3"),
    ("-", "-"),
    (".", "."),
    ("yes", True),
    ("on", True),
    ("y", True),
    ("No", False),
    ("off", False),
    ("true", True),
    ("null", None),
    ("~", None),
    ("", None),
    ("tRue", "tRue"),
    ("9" * 5000, "9" * 5000),
    ("=", "="),
    ("<<", "<<"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_plain_scalar(text: str, value: object) -> None:
    found = plain_value(text)
    assert (type(found), found) == (type(value), value)


DOCUMENTS: list[tuple[str, str, list[tuple[int, object]]]] = [
    ("quoted numbers are text", 'a: "80"\nb: !!str 80', [(1, {"a": "80", "b": "80"})]),
    ("keys are text", "1: a\nyes: b\nnull: c", [(1, {"1": "a", "yes": "b", "null": "c"})]),
    ("aliases", "a: &x [1, 2]\nb: *x", [(1, {"a": [1, 2], "b": [1, 2]})]),
    (
        "merge, own keys first",
        "a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}",
        [(1, {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}})],
    ),
    ("quoted << is a key", '"<<": {a: 1}', [(1, {"<<": {"a": 1}})]),
    ("several", "a: 1\n---\n# c\n\nb: 2\n", [(1, {"a": 1}), (5, {"b": 2})]),
    ("empty ones left out", "---\n---\n# only a comment\n---\na: 1\n---\n", [(5, {"a": 1})]),
    ("directive", "%YAML 1.1\n---\na: 1\n", [(1, {"a": 1})]),
    ("document end", "a: 1\n...\n---\nb: 2\n...\n", [(1, {"a": 1}), (4, {"b": 2})]),
    ("separator with content", "--- {a: 1}\n--- {b: 2}\n", [(1, {"a": 1}), (2, {"b": 2})]),
    ("separator inside text", "a: |\n  x\n  ---\n  y\n", [(1, {"a": "x\n---\ny\n"})]),
    ("dashes that separate nothing", "a: >\n  b\n----: 1\n", [(1, {"a": "b\n", "----": 1})]),
    ("Windows lines", "a: 1\r\n---\r\nb: 2\r\n", [(1, {"a": 1}), (3, {"b": 2})]),
    ("no content", "", []),
    ("unknown tag", "a: !Ref x", [(1, {"a": "x"})]),
]


@pytest.mark.parametrize(
    ("text", "expected"), [row[1:] for row in DOCUMENTS], ids=[row[0] for row in DOCUMENTS]
)
def test_documents(text: str, expected: list[tuple[int, object]]) -> None:
    assert [(document.line, document.value) for document in yaml_documents(text)] == expected


FAULTS = [
    ("a: 1\nb: 2\na: 3\n", 'has the key "a" twice in one mapping (line 5)'),
    ("x:\n- {a: 1, 'a': 2}\n", 'has the key "a" twice in one mapping (line 4)'),
    ("a: {{ .Values.x }}\n", "has a mapping or a list as a key"),
    ("a: [1\n", "is no YAML: "),
    ("a: b: c\n", "mapping values are not allowed in this context (line 3, column 5)"),
    ("a: \x07\n", "is no YAML: control characters are not allowed"),
    ("a: *nowhere\n", 'has an alias of "nowhere", which is not defined yet (line 3)'),
    ("a: &a [*a]\n", 'has an alias of "a", which is not defined yet (line 3)'),
    ("<<: 3\n", 'has a merge key "<<" of something that is no mapping (line 3)'),
    ("[" * 5000, "is nested more than 200 levels deep (line 3)"),
    ("{a: " * 5000, "is nested more than 200 levels deep (line 3)"),
    ("- " * 5000, "is nested more than 200 levels deep (line 3)"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_fault_costs_only_its_document(text: str, message: str) -> None:
    found = list(yaml_documents(f"first: 1\n---\n{text}\n---\nlast: 1\n"))
    assert [document.value for document in found] == [{"first": 1}, None, {"last": 1}]
    assert message in found[1].error


def test_aliases_cannot_multiply_without_bound() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    before = time.monotonic()
    (document,) = yaml_documents("\n".join(lines))
    assert document.error.startswith("has aliases for more than 200000 values")
    assert time.monotonic() - before < 1


@given(st.text())
def test_no_text_raises(text: str) -> None:
    for document in yaml_documents(text):
        assert document.line >= 1
