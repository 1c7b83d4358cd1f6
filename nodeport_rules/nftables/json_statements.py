"""Rules and elements of nft's JSON (libnftables-json(5)) as nft prints them as text.

What this module does not know is written as JSON, which no reader of rules takes for anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from nodeport_rules.errors import quote
from nodeport_rules.nftables.parse import ListingError

JsonObject = dict[str, Any]
"""An object of JSON: what is in it is checked where it is read."""
Writer = Callable[[JsonObject], str]
"""Writes the body of a statement; {} for one without a body, {"name": …} for one that is a name."""
Inner = Callable[[object], str]
"""Writes a part of an expression like the whole of it."""

_UNQUALIFIED = frozenset({"iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup"})
"""Keys of `meta` that nft prints without the word."""
_INTERFACES = frozenset({"iif", "oif", "iifname", "oifname"})
_SIMPLE = frozenset({"accept", "drop", "return", "continue", "notrack"})
_BINARY = frozenset({"&", "|", "^", "<<", ">>"})


def rule_text(rule: JsonObject) -> str:
    """The rule as text, its comment included."""
    statements = rule.get("expr", [])
    if not isinstance(statements, list):
        raise ListingError(f"a rule without statements: {quote(rule)}")
    parts = [statement_text(one) for one in statements]
    if isinstance(rule.get("comment"), str):
        # nft itself allows no quotes in a comment; one here must not end it.
        shown = rule["comment"].replace('"', "'")
        parts.append(f'comment "{shown}"')
    return " ".join(part for part in parts if part)


def statement_text(statement: object) -> str:
    """A statement as text; as JSON where its kind is not known."""
    if isinstance(statement, dict) and len(statement) == 1:
        ((kind, value),) = statement.items()
        if kind in _SIMPLE and value is None:
            return str(kind)
        write = _STATEMENTS.get(kind)
        body = {"name": value} if isinstance(value, str) else value or {}
        if write is not None and isinstance(body, dict):
            try:
                return write(body)
            except (KeyError, TypeError, ValueError, AttributeError):
                return _as_json(statement)
    # nft 1.0.6 puts the text of what it has no JSON for there as it is.
    return statement if isinstance(statement, str) else _as_json(statement)


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def expression_text(value: object, *, quoted: bool = False, hexadecimal: bool = False) -> str:
    """An expression as text: a value, a field of the packet, a set.

    `quoted`: texts are in quotes, as names of interfaces are; `hexadecimal`: numbers are written
    so, as marks are.
    """

    def inner(part: object) -> str:
        return expression_text(part, quoted=quoted, hexadecimal=hexadecimal)

    if isinstance(value, str):
        return f'"{value}"' if quoted and not value.startswith("@") else value
    if isinstance(value, bool) or value is None:
        return _as_json(value)
    if isinstance(value, int):
        return f"0x{value:08x}" if hexadecimal else str(value)
    if isinstance(value, list):
        return ",".join(inner(part) for part in value)
    if not isinstance(value, dict) or len(value) != 1:
        return _as_json(value)
    ((kind, body),) = value.items()
    try:
        return _expression(str(kind), body, inner)
    except (KeyError, TypeError, ValueError, AttributeError):
        return _as_json(value)


def _expression(kind: str, body: object, inner: Inner) -> str:
    if isinstance(body, dict):
        return _of_object(kind, body, inner)
    # Newer versions write a list of one thing as that thing.
    parts = body if isinstance(body, list) else [body]
    if kind == "set":
        return f"{{ {', '.join(_braced(part, inner) for part in parts)} }}"
    if kind == "concat":
        return " . ".join(inner(part) for part in parts)
    if kind in _BINARY:
        return f" {kind} ".join(inner(part) for part in parts)
    if kind == "range":
        first, last = parts
        return f"{inner(first)}-{inner(last)}"
    raise ValueError(kind)


def _of_object(kind: str, body: JsonObject, inner: Inner) -> str:
    match kind:
        case "payload":
            return f"{body['protocol']} {body['field']}"
        case "meta":
            key = body["key"]
            return str(key) if key in _UNQUALIFIED else f"meta {key}"
        case "ct":
            words = ("ct", body.get("dir"), body.get("family"), body["key"])
            return " ".join(word for word in words if word)
        case "fib":
            flags = body["flags"] if isinstance(body["flags"], list) else [body["flags"]]
            return f"fib {' . '.join(flags)} {body['result']}"
        case "numgen":
            offset = f" offset {_unsigned(body['offset'])}" if body.get("offset") else ""
            return f"numgen {body['mode']} mod {_unsigned(body['mod'])}{offset}"
        case "prefix":
            return f"{inner(body['addr'])}/{body['len']}"
        case "elem":
            return inner(body["val"])
        case "map":
            return f"{inner(body['key'])} map {inner(body['data'])}"
        case "set":
            return f"{{ {inner(body)} }}"
        case _:
            raise ValueError(kind)


def _unsigned(number: int) -> int:
    """A number of 32 bits; nft 1.0.6 prints those of numgen with a sign."""
    return number % (1 << 32)


def _braced(part: object, inner: Inner) -> str:
    """An element of an anonymous set or map."""
    if isinstance(part, list):
        key, value = part
        return f"{inner(key)} : {_data(value)}"
    return inner(part)


def _data(value: object) -> str:
    """What a map holds for a key: a verdict or a value."""
    return verdict_text(value) or expression_text(value)


def verdict_text(value: object) -> str:
    """`goto CHAIN`, `drop` …; empty for what is no verdict."""
    if not isinstance(value, dict) or len(value) != 1:
        return ""
    ((kind, body),) = value.items()
    if kind in _SIMPLE and body is None:
        return str(kind)
    if kind in ("jump", "goto") and isinstance(body, dict) and isinstance(body.get("target"), str):
        return f"{kind} {body['target']}"
    return ""


def named_elements(elements: Iterable[object], *, is_set: bool) -> dict[str, str]:
    """The elements of a named set or map as text, without counters and comments."""
    if is_set:
        return {expression_text(one): "" for one in elements}
    found = {}
    for one in elements:
        if not isinstance(one, list) or len(one) != 2:
            raise ListingError(f"no element of a map: {quote(one)}")
        found[expression_text(one[0])] = _data(one[1])
    return found


# --------------------------------------------------------------------------------- statements


def _match(value: JsonObject) -> str:
    left, right, operator = value["left"], value["right"], value["op"]
    key = left.get("meta", {}).get("key") if "meta" in left else None
    mark = _is_mark(left)
    shown = expression_text(right, quoted=key in _INTERFACES, hexadecimal=mark)
    plain = operator == "in" or (operator == "==" and "&" not in left)
    sign = "" if plain else f"{operator} "
    return f"{expression_text(left, hexadecimal=mark)} {sign}{shown}"


def _is_mark(value: object) -> bool:
    """Whether an expression is about the mark, whose numbers nft prints in hexadecimal."""
    if not isinstance(value, dict):
        return False
    for kind, body in value.items():
        if kind == "meta":
            return isinstance(body, dict) and body.get("key") == "mark"
        if kind in _BINARY and isinstance(body, list):
            return any(_is_mark(part) for part in body)
    return False


def _mangle(value: JsonObject) -> str:
    mark = _is_mark(value["key"])
    shown = expression_text(value["value"], hexadecimal=mark)
    return f"{expression_text(value['key'])} set {shown}"


def _verdict_map(value: JsonObject) -> str:
    return f"{expression_text(value['key'])} vmap {expression_text(value['data'])}"


def _nat(word: str) -> Writer:
    def write(value: JsonObject) -> str:
        parts = [word]
        if value.get("family") and "addr" in value:
            parts.append(value["family"])
        address = expression_text(value["addr"]) if "addr" in value else ""
        if "port" in value:
            host = f"[{address}]" if ":" in address else address
            address = f"{host}:{expression_text(value['port'])}"
        if address:
            parts += ["to", address]
        flags = value.get("flags")
        if flags:
            parts.append(flags if isinstance(flags, str) else ",".join(flags))
        return " ".join(parts)

    return write


def _reject(value: JsonObject) -> str:
    if not value or (value.get("type"), value.get("expr")) in _DEFAULT_REJECTS:
        return "reject"
    more = f" {value['expr']}" if value.get("expr") else ""
    return f"reject with {value['type']}{more}"


_DEFAULT_REJECTS = {(family, "port-unreachable") for family in ("icmp", "icmpv6", "icmpx")}
"""What nft prints as `reject` alone."""


def _jump(word: str) -> Writer:
    return lambda value: f"{word} {value['target']}"


def _counter(value: JsonObject) -> str:
    if not value:
        return "counter"
    if "name" in value:
        return f'counter name "{value["name"]}"'
    return f"counter packets {value['packets']} bytes {value['bytes']}"


def _log(value: JsonObject) -> str:
    parts = ["log"]
    for key, setting in value.items():
        if key == "flags":
            for flag in setting if isinstance(setting, list) else [setting]:
                parts += ["flags", flag]
        else:
            parts += [key, f'"{setting}"' if key == "prefix" else str(setting)]
    return " ".join(parts)


def _set(value: JsonObject) -> str:
    element, more = value["elem"], ""
    if "elem" in element:
        if "timeout" in element["elem"]:
            more += f" timeout {element['elem']['timeout']}s"
        element = element["elem"]["val"]
    for statement in value.get("stmt", []):
        more += f" {statement_text(statement)}"
    return f"{value['op']} {value['set']} {{ {expression_text(element)}{more} }}"


def _xt(value: JsonObject) -> str:
    return f"xt {value['type']} {value['name']}"


_STATEMENTS: dict[str, Writer] = {
    "match": _match,
    "mangle": _mangle,
    "vmap": _verdict_map,
    "dnat": _nat("dnat"),
    "snat": _nat("snat"),
    "redirect": _nat("redirect"),
    "masquerade": _nat("masquerade"),
    "reject": _reject,
    "jump": _jump("jump"),
    "goto": _jump("goto"),
    "counter": _counter,
    "log": _log,
    "set": _set,
    "xt": _xt,
}
