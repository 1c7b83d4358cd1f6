"""Every field of an object whose value has the wrong type, in words.

msgspec stops at the first one; this walks the struct's type beside the value and names them all.
It runs only for objects that msgspec has refused.
"""

from __future__ import annotations

from functools import cache

import msgspec
from msgspec import inspect

from nodeport_rules.errors import quote
from nodeport_rules.kube.objects import KubeObject

_WANTED: dict[type, str] = {
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.BoolType: "true or false",
    inspect.FloatType: "a number",
    inspect.ListType: "a list",
    inspect.DictType: "a mapping",
    inspect.StructType: "a mapping",
}


def type_faults(struct: type[KubeObject], value: object) -> list[tuple[str, str]]:
    """(field path, message) of each wrong field, in the order of the struct's fields.

    Nulls of struct fields that may be absent are taken out of `value` on the way, since to
    Kubernetes null and absent are the same; so a value without faults converts afterwards.
    """
    faults: list[tuple[str, str]] = []
    _walk(_type_info(struct), value, "", faults)
    return faults


@cache
def _type_info(struct: type[KubeObject]) -> inspect.Type:
    return inspect.type_info(struct)


def _walk(info: inspect.Type, value: object, path: str, faults: list[tuple[str, str]]) -> None:
    choices = info.types if isinstance(info, inspect.UnionType) else (info,)
    if any(_fits(choice, value) for choice in choices):
        for choice in choices:
            _walk_inside(choice, value, path, faults)
        return
    wanted = [_wanted(choice) for choice in choices if not isinstance(choice, inspect.NoneType)]
    faults.append((path, f"is {_shown(value)}, must be {' or '.join(wanted)}"))


def _fits(info: inspect.Type, value: object) -> bool:
    """Whether the value is of the type, on its surface."""
    if isinstance(info, inspect.AnyType):
        return True
    if isinstance(info, inspect.NoneType):
        return value is None
    if isinstance(info, inspect.LiteralType):
        return value in info.values
    if isinstance(info, inspect.IntType):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(info, inspect.FloatType):
        return isinstance(value, int | float) and not isinstance(value, bool)
    surface = {
        inspect.StrType: str,
        inspect.BoolType: bool,
        inspect.ListType: list,
        inspect.DictType: dict,
        inspect.StructType: dict,
    }
    return isinstance(value, surface[type(info)])


def _walk_inside(
    info: inspect.Type, value: object, path: str, faults: list[tuple[str, str]]
) -> None:
    if isinstance(info, inspect.ListType) and isinstance(value, list):
        for index, item in enumerate(value):
            _walk(info.item_type, item, f"{path}[{index}]", faults)
    elif isinstance(info, inspect.DictType) and isinstance(value, dict):
        for key, item in value.items():
            _walk(info.value_type, item, f"{path}[{quote(key)}]", faults)
    elif isinstance(info, inspect.StructType) and isinstance(value, dict):
        _walk_struct(info, value, path, faults)


def _walk_struct(
    info: inspect.StructType, value: dict[str, object], path: str, faults: list[tuple[str, str]]
) -> None:
    for field in info.fields:
        name = field.encode_name
        inside = f"{path}.{name}" if path else name
        if value.get(name) is not None:
            _walk(field.type, value[name], inside, faults)
        elif field.required:
            faults.append((inside, "is missing"))
        else:
            value.pop(name, None)


def _wanted(info: inspect.Type) -> str:
    if isinstance(info, inspect.LiteralType):
        return " or ".join(str(value) for value in info.values)
    return _WANTED[type(info)]


def _shown(value: object) -> str:
    """A value of the wrong type, short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {quote(value)}"
    if isinstance(value, int | float):
        return f"the number {quote(value)}"
    return "a mapping" if isinstance(value, dict) else "a list"


class Damaged(msgspec.Struct, frozen=True):
    """An object some of whose fields have the wrong type.

    `faults` are (field path, message), one at least. `rest` is the object with something harmless
    in the place of those fields, so that its other faults can be found too; None when it is past
    that.
    """

    faults: tuple[tuple[str, str], ...]
    rest: KubeObject | None = None

    def explains(self, field: str) -> bool:
        """Whether a fault of `rest` at this path comes from what is damaged."""
        return any(
            field.startswith(path) or path.startswith(field) for path, _ in self.faults if field
        )


def convert(struct: type[KubeObject], value: object) -> KubeObject | Damaged:
    """The value as the struct, or what is wrong with it."""
    try:
        return msgspec.convert(value, struct)
    except (msgspec.ValidationError, RecursionError):
        faults = type_faults(struct, value)
    try:
        rest = msgspec.convert(_repaired(_type_info(struct), value), struct)
    except (msgspec.ValidationError, RecursionError) as error:
        return Damaged(tuple(faults) or (("", f"cannot be read: {error}"),))
    return Damaged(tuple(faults), rest) if faults else rest


_PLACEHOLDERS: dict[type, object] = {
    inspect.StrType: "",
    inspect.IntType: 0,
    inspect.BoolType: False,
    inspect.FloatType: 0.0,
    inspect.ListType: [],
}


def _repaired(info: inspect.Type, value: object) -> object:
    """The value, with something of the right type wherever it has a wrong one."""
    choices = info.types if isinstance(info, inspect.UnionType) else (info,)
    for choice in choices:
        if _fits(choice, value):
            return _repaired_inside(choice, value)
    if any(isinstance(choice, inspect.NoneType) for choice in choices):
        return None
    if isinstance(choices[0], inspect.LiteralType):
        return choices[0].values[0]
    if isinstance(choices[0], inspect.StructType):
        return _repaired_inside(choices[0], {})
    return _PLACEHOLDERS.get(type(choices[0]), {})


def _repaired_inside(info: inspect.Type, value: object) -> object:
    if isinstance(info, inspect.ListType) and isinstance(value, list):
        return [_repaired(info.item_type, item) for item in value]
    if isinstance(info, inspect.DictType) and isinstance(value, dict):
        return {key: _repaired(info.value_type, item) for key, item in value.items()}
    if isinstance(info, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field for field in info.fields}
        names = [name for name, field in fields.items() if field.required or name in value]
        return {name: _repaired(fields[name].type, value.get(name)) for name in names}
    return value
