"""Bytes of a source as single objects that are not decoded yet, each with its place.

JSON stays JSON (msgspec.Raw, no copy) until its kind is known, so that a List of 20,000 objects
costs one scan here. Lists are taken apart, those of one kind (ServiceList) too.

Places read `web.yaml`, or `web.yaml, document 2 (line 14)` when the file has several documents, and
`…, item 3` inside a List. Documents are counted without the empty ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from nodeport_rules.kube.kinds import Header, is_used_name
from nodeport_rules.kube.yaml_documents import yaml_documents

Problem = Literal["", "empty", "encoding", "syntax"]
"""Why there is no object: nothing in the source, bytes that are no text, or text of no form."""

MAX_LIST_DEPTH = 8
"""Lists within Lists that are followed; kubectl writes none at all."""

_SPACE = re.compile(r"[ \t\r\n]*")


class Document(msgspec.Struct, frozen=True):
    """One object: `raw` JSON, or `value` as plain Python values; or an `error` in their place."""

    place: str
    raw: msgspec.Raw | None = None
    value: object = None
    header: Header = Header()
    problem: Problem = ""
    error: str = ""


class _ListOfRaw(msgspec.Struct, rename="camel", gc=False):
    """The envelope of any JSON object; `items` is there for a List."""

    api_version: str | None = None
    kind: str | None = None
    items: list[msgspec.Raw] | None = None


def documents(name: str, content: bytes) -> Iterator[Document]:
    """The objects of one source called `name`, in their order.

    The encoding is UTF-8; a byte order mark is passed over. What is wrong becomes a `Document` with
    an `error`, after which the others still come.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\x00" in content:
        error = "holds NUL bytes; a manifest is text in UTF-8"
        yield Document(name, problem="encoding", error=error)
        return
    try:
        text = "" if content.isascii() else content.decode("utf-8")
    except UnicodeDecodeError as failure:
        yield Document(name, problem="encoding", error=f"is not UTF-8 (byte {failure.start})")
        return
    if content.lstrip()[:1] in (b"{", b"["):
        if (single := _json_object(name, content)) is not None:
            yield from single
            return
        if (several := _json_stream(name, content.decode("utf-8"))) is not None:
            yield from several
            return
    text = text or content.decode("utf-8")
    if not text.strip():
        yield Document(name, problem="empty", error="holds no object")
    elif name.endswith(".json"):
        yield Document(name, problem="syntax", error=f"is no JSON: {_json_problem(text)}")
    else:
        yield from _yaml(name, text)


def _json_object(name: str, content: bytes) -> Iterator[Document] | None:
    """The object or List that the whole content is, None when it is no single JSON object."""
    try:
        envelope = msgspec.json.decode(content, type=_ListOfRaw)
    except (msgspec.DecodeError, RecursionError):
        return None
    header = Header(envelope.api_version, envelope.kind)
    if is_list(header, envelope.items):
        return _raw_items(name, envelope, depth=1)
    return iter((Document(name, raw=msgspec.Raw(content), header=header),))


def _raw_items(place: str, envelope: _ListOfRaw, depth: int) -> Iterator[Document]:
    decode = msgspec.json.Decoder(Header).decode
    default = _item_header(envelope.api_version, envelope.kind)
    for number, raw in enumerate(envelope.items or (), start=1):
        item_place = f"{place}, item {number}"
        try:
            header = decode(raw)
        except msgspec.ValidationError:
            yield from flatten(item_place, msgspec.json.decode(raw), default, depth)
            continue
        if header.kind is None or header.api_version is None:
            header = Header(header.api_version or default.api_version, header.kind or default.kind)
        if header.kind is not None and header.kind.endswith("List"):
            yield from flatten(item_place, msgspec.json.decode(raw), default, depth)
        else:
            yield Document(item_place, raw=raw, header=header)


def _json_stream(name: str, text: str) -> list[Document] | None:
    """Several JSON objects one after the other (as `jq` prints them), None when it is not that."""
    decoder = json.JSONDecoder()
    values: list[tuple[int, object]] = []
    try:
        position, line, counted = _after_space(text, 0), 1, 0
        while position < len(text):
            line, counted = line + text.count("\n", counted, position), position
            value, end = decoder.raw_decode(text, position)
            values.append((line, value))
            position = _after_space(text, end)
    except (ValueError, RecursionError):
        return None
    found: list[Document] = []
    for number, (line, value) in enumerate(values, start=1):
        place = name if len(values) == 1 else f"{name}, document {number} (line {line})"
        found.extend(flatten(place, value, Header(), depth=0))
    return found


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _json_problem(text: str) -> str:
    try:
        json.loads(text)
    except RecursionError:
        return "it is nested too deep"
    except json.JSONDecodeError as error:
        return f"{error.msg} (line {error.lineno}, column {error.colno})"
    except ValueError as error:
        return str(error)
    return "it holds no object"


def _yaml(name: str, text: str) -> Iterator[Document]:
    found = list(yaml_documents(text))
    if not found:
        yield Document(name, problem="empty", error="holds no object")
    for number, document in enumerate(found, start=1):
        place = name
        if len(found) > 1:
            place = f"{name}, document {number} (line {document.line})"
        if document.error:
            yield Document(place, problem="syntax", error=document.error)
        else:
            yield from flatten(place, document.value, Header(), depth=0)


def flatten(place: str, value: object, default: Header, depth: int) -> Iterator[Document]:
    """The objects in a value: itself, or its items when it is a List.

    `default` says what an item of a kind's own List is when it does not say so itself.
    """
    header = _header(value, default)
    items = value.get("items") if isinstance(value, dict) else None
    if not is_list(header, items):
        yield Document(place, value=value, header=header)
    elif depth >= MAX_LIST_DEPTH:
        error = f"has Lists nested more than {MAX_LIST_DEPTH} deep"
        yield Document(place, problem="syntax", error=error)
    else:
        inner = _item_header(header.api_version, header.kind)
        for number, item in enumerate(items or (), start=1):
            yield from flatten(f"{place}, item {number}", item, inner, depth + 1)


def is_list(header: Header, items: object) -> bool:
    """Whether an object is a List of others: `v1` List, or a kind's own such as ServiceList.

    A custom kind may be called so too (AllowList); what tells it apart is a list of `items`.
    """
    kind = header.kind or ""
    if not kind.endswith("List"):
        return False
    used = kind == "List" or is_used_name(kind.removesuffix("List"))
    return isinstance(items, list) or (items is None and used)


def _item_header(api_version: str | None, kind: str | None) -> Header:
    """What the items of a List are when they do not say so."""
    single = (kind or "").removesuffix("List")
    return Header(api_version, single) if single else Header()


def _header(value: object, default: Header) -> Header:
    if not isinstance(value, dict):
        return Header()
    version, kind = value.get("apiVersion"), value.get("kind")
    return Header(
        version if isinstance(version, str) else default.api_version,
        kind if isinstance(kind, str) else default.kind,
    )
