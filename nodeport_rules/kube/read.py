"""Sources as one snapshot: `read_sources`.

Everything wrong is collected as `Fault`s; an object with a fault is set aside and everything else
goes on. What is of no kind used here is counted. In folders, which hold more than manifests, files
and documents that are no Kubernetes objects are passed over with one note.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from nodeport_rules.errors import Fault
from nodeport_rules.kube.documents import Document, documents
from nodeport_rules.kube.kinds import (
    CLUSTER_SCOPED,
    is_used_name,
    key_of,
    shown_kind,
    shown_subject,
    struct_of,
    subject_of,
)
from nodeport_rules.kube.objects import KubeObject, Workload
from nodeport_rules.kube.snapshot import Snapshot, snapshot_of
from nodeport_rules.kube.sources import SourceText, read_texts
from nodeport_rules.kube.type_faults import Damaged, convert

NAMED_IN_NOTE = 3
"""How many of the things passed over the note names."""

_TEMPLATE_MARKS = (b"{{", b"{%", b"<%")


class ReadResult(msgspec.Struct, frozen=True):
    """What was read.

    `notes` are lines for stderr. `passed_over` counts objects of kinds that are not used, by kind.
    """

    snapshot: Snapshot
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    passed_over: dict[str, int] = {}
    damaged: tuple[tuple[str, Damaged], ...] = ()
    """(place, what is left) of objects with wrong types, whose other faults are still to find."""


def read_sources(sources: Sequence[str], stdin: BinaryIO | None = None) -> ReadResult:
    """Read files, folders (recursively) and `-` (`stdin`, by default the process's own).

    Of two objects with the same kind, namespace and name the first one read is kept, and the
    second is a fault.
    """
    reader = _Reader()
    for text in read_texts(sources, stdin):
        if isinstance(text, Fault):
            reader.faults.append(text)
        else:
            reader.take(text)
    return reader.result()


class _Reader:
    """Collects what one run reads."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._objects: list[KubeObject] = []
        self._damaged: list[tuple[str, Damaged]] = []
        self._origins: dict[tuple[str, str, str], str] = {}
        self._passed_over: dict[str, int] = {}
        self._no_objects: list[str] = []
        self._decoders: dict[type[KubeObject], msgspec.json.Decoder[KubeObject]] = {}

    def result(self) -> ReadResult:
        notes: tuple[str, ...] = ()
        if self._no_objects:
            notes = (_note(self._no_objects),)
        return ReadResult(
            snapshot=snapshot_of(self._objects, self._origins),
            faults=tuple(self.faults),
            notes=notes,
            passed_over=dict(sorted(self._passed_over.items())),
            damaged=tuple(self._damaged),
        )

    def take(self, text: SourceText) -> None:
        """Take in one source. A template in a folder is passed over as a whole."""
        found = documents(text.name, text.content)
        if text.in_folder:
            several = list(found)
            if _is_no_manifest(text.content, several):
                self._no_objects.append(text.name)
                return
            found = iter(several)
        templated = text.in_folder and _has_template_marks(text.content)
        for document in found:
            self._document(document, text.in_folder, templated)

    def _document(self, document: Document, in_folder: bool, templated: bool) -> None:
        if document.problem:
            if not (in_folder and document.problem == "empty"):
                self._fault(document.place, "", "", document.error)
            return
        version, kind = document.header.api_version, document.header.kind
        if kind and version and (struct := struct_of(version, kind)) is not None:
            self._decode(document, struct, kind, templated)
        elif kind and (version or not is_used_name(kind)):
            shown = shown_kind(version or "", kind)
            self._passed_over[shown] = self._passed_over.get(shown, 0) + 1
        elif in_folder:
            self._no_objects.append(document.place)
        else:
            field = "apiVersion" if kind else "kind"
            subject = shown_kind("v1", kind).split(" ")[0] if kind else ""
            self._fault(document.place, subject, field, _missing(document, field))

    def _decode(
        self, document: Document, struct: type[KubeObject], kind: str, templated: bool
    ) -> None:
        decoded = self._object(document, struct, kind)
        if isinstance(decoded, Damaged):
            if templated:
                self._no_objects.append(document.place)
                return
            subject = _subject_of_value(document, kind)
            for field, message in decoded.faults:
                self._fault(document.place, subject, field, message)
            self._damaged.append((document.place, decoded))
            return
        if templated and "{{" in f"{decoded.namespace}/{decoded.name}":
            self._no_objects.append(document.place)
            return
        key = key_of(decoded)
        if key in self._origins:
            self._fault(
                document.place,
                subject_of(decoded),
                "",
                f"is given twice: in {self._origins[key]} and in {document.place}",
            )
            return
        self._origins[key] = document.place
        self._objects.append(decoded)

    def _object(
        self, document: Document, struct: type[KubeObject], kind: str
    ) -> KubeObject | Damaged:
        """The object, or what is wrong with it."""
        if document.raw is None:
            value = document.value
        else:
            try:
                return self._decoder(struct).decode(document.raw)
            except msgspec.ValidationError:
                value = msgspec.json.decode(document.raw)
        if isinstance(value, dict) and struct is Workload:
            value = {**value, "kind": kind}
        return convert(struct, value)

    def _decoder(self, struct: type[KubeObject]) -> msgspec.json.Decoder[KubeObject]:
        if struct not in self._decoders:
            self._decoders[struct] = msgspec.json.Decoder(struct)
        return self._decoders[struct]

    def _fault(self, where: str, subject: str, field: str, message: str) -> None:
        self.faults.append(Fault(where=where, subject=subject, field=field, message=message))


def _missing(document: Document, field: str) -> str:
    if document.raw is None and not isinstance(document.value, dict):
        return "is missing: this is no Kubernetes object"
    return f"is missing: {'say which version' if field == 'apiVersion' else 'say which kind'} it is"


def _has_template_marks(content: bytes) -> bool:
    return any(mark in content for mark in _TEMPLATE_MARKS)


def _is_no_manifest(content: bytes, found: list[Document]) -> bool:
    """Whether a file of a folder is plainly something else, although it does not parse.

    A template (of helm, Jinja or ERB) is; so is what names no kind and version anywhere.
    """
    if not any(document.problem == "syntax" for document in found):
        return False
    return _has_template_marks(content) or b"apiVersion" not in content or b"kind" not in content


def _subject_of_value(document: Document, kind: str) -> str:
    """The object for messages, as far as its metadata can be read."""
    value = document.value
    if document.raw is not None:
        value = msgspec.json.decode(document.raw)
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return kind
    namespace = metadata.get("namespace") or "default"
    if kind in CLUSTER_SCOPED or not isinstance(namespace, str):
        namespace = ""
    return shown_subject(kind, namespace, metadata["name"])


def _note(names: list[str]) -> str:
    first = ", ".join(names[:NAMED_IN_NOTE])
    rest = len(names) - NAMED_IN_NOTE
    count = f"{len(names)} files or documents that are" if len(names) > 1 else "1 that is"
    more = f" and {rest} more" if rest > 0 else ""
    return f"passed over {count} no Kubernetes object: {first}{more}"
