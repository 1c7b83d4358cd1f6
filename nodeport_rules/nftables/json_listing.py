"""What `nft -j list table` and `nft -j list ruleset` print, as rulesets.

Every rule is written out as nft prints it as text, so that one reader does for both: `meaning` for
what rules mean, `parse` for their text. `json_statements` writes rules.

nft 1.0.6 leaves out of its JSON: the `addr . port` of `dnat ip addr . port to … map` (as in its
text), the flag `dynamic` of sets, comments of chains, sets and tables, and the device of ingress
chains.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nodeport_rules.errors import quote
from nodeport_rules.nftables.json_statements import (
    JsonObject,
    expression_text,
    named_elements,
    rule_text,
)
from nodeport_rules.nftables.parse import PROGRAM, ListingError, parse_listing
from nodeport_rules.ruleset.ruleset import Chain, Map, Ruleset, Table

_UPDATING = ("update", "add")


def listing_from_text_or_json(text: str) -> Ruleset:
    """A listing of nft's, whichever of the two forms it has.

    Raises ListingError for what is neither, and for a listing cut short.
    """
    return parse_json_listing(text) if text.lstrip().startswith("{") else parse_listing(text)


def parse_json_listing(text: str | bytes) -> Ruleset:
    """The listing as a ruleset, every table in it, in its order.

    Raises ListingError for what is no JSON listing. Objects of other kinds than tables, chains,
    sets, maps and rules are passed over.
    """
    try:
        return _listing(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ListingError(f"no JSON of nft's: {error}") from None
    except RecursionError:
        raise ListingError("no JSON of nft's: it is nested too deeply") from None


def _listing(document: object) -> Ruleset:
    objects = document.get("nftables") if isinstance(document, dict) else None
    if not isinstance(objects, list):
        raise ListingError('no JSON of nft\'s: it has no list "nftables"')
    tables: dict[tuple[str, str], _OpenTable] = {}
    for one in objects:
        if not isinstance(one, dict):
            raise ListingError(f"no object of nft's: {quote(one)}")
        for kind, value in one.items():
            if kind in ("table", "chain", "set", "map", "rule"):
                _add(tables, kind, value)
    return Ruleset(PROGRAM, tuple(table.closed() for table in tables.values()))


class _OpenTable(msgspec.Struct):
    family: str
    name: str
    chains: dict[str, Chain] = {}
    rules: dict[str, list[str]] = {}
    maps: dict[str, Map] = {}
    updated: set[str] = set()
    """The sets that rules put elements into."""

    def closed(self) -> Table:
        return Table(
            self.name,
            tuple(
                msgspec.structs.replace(chain, rules=tuple(self.rules.get(chain.name, ())))
                for chain in self.chains.values()
            ),
            family=self.family,
            maps=tuple(self._map(one) for one in self.maps.values()),
        )

    def _map(self, one: Map) -> Map:
        if one.name in self.updated or one.dynamic:
            return msgspec.structs.replace(one, elements={}, dynamic=True)
        return one


def _add(tables: dict[tuple[str, str], _OpenTable], kind: str, value: object) -> None:
    """Adds one object of the listing to its table."""
    if not isinstance(value, dict):
        raise ListingError(f"no {kind} of nft's: {quote(value)}")
    family = _text(value, "family", kind)
    if kind == "table":
        name = _text(value, "name", kind)
        tables.setdefault((family, name), _OpenTable(family, name))
        return
    table = tables.get((family, _text(value, "table", kind)))
    if table is None:
        raise ListingError(f"a {kind} of a table that the listing does not have: {quote(value)}")
    if kind == "rule":
        name = _text(value, "chain", kind)
        if name not in table.chains:
            raise ListingError(f"a rule of chain {quote(name)}, which the listing does not have")
        table.rules.setdefault(name, []).append(rule_text(value))
        table.updated.update(_updated(value))
    elif kind == "chain":
        name = _text(value, "name", kind)
        table.chains[name] = Chain(name, (), _hook(value), _comment(value))
    else:
        name = _text(value, "name", kind)
        table.maps[name] = _map(value, name, is_set=kind == "set")


def _text(value: JsonObject, key: str, kind: str) -> str:
    found = value.get(key)
    if not isinstance(found, str):
        raise ListingError(f"a {kind} without {key}: {quote(value)}")
    return found


def _comment(value: JsonObject) -> str:
    found = value.get("comment")
    return found if isinstance(found, str) else ""


def _hook(value: JsonObject) -> str:
    """`type nat hook prerouting priority -100; policy accept;`, empty for ordinary chains."""
    if "hook" not in value:
        return ""
    device = value.get("dev")
    words = ["type", value.get("type"), "hook", value["hook"]]
    if device is not None:
        words += ["device", expression_text(device, quoted=True)]
    words += ["priority", value.get("prio")]
    return f"{' '.join(map(str, words))}; policy {value.get('policy', 'accept')};"


def _map(value: JsonObject, name: str, *, is_set: bool) -> Map:
    flags = _as_list(value.get("flags"))
    declaration = [_type(value, is_set)]
    if isinstance(value.get("size"), int):
        declaration.append(f"size {value['size']}")
    if flags:
        declaration.append(f"flags {','.join(map(str, flags))}")
    if isinstance(value.get("timeout"), int):
        declaration.append(f"timeout {value['timeout']}s")
    if _comment(value):
        declaration.append(f'comment "{_comment(value)}"')
    elements = named_elements(_as_list(value.get("elem")), is_set=is_set)
    dynamic = "dynamic" in flags
    return Map(name, tuple(declaration), {} if dynamic else elements, is_set, dynamic)


def _type(value: JsonObject, is_set: bool) -> str:
    """`type ipv4_addr . inet_service : verdict`, or `typeof …` where newer versions say so."""
    key = value.get("type")
    data = "" if is_set else f" : {_data_type(value.get('map'))}"
    if isinstance(key, dict) and "typeof" in key:
        return f"typeof {expression_text(key['typeof'])}{data}"
    return f"type {' . '.join(str(part) for part in _as_list(key))}{data}"


def _data_type(value: object) -> str:
    if isinstance(value, dict) and "typeof" in value:
        return expression_text(value["typeof"])
    return " . ".join(str(part) for part in _as_list(value))


def _as_list(value: object) -> list[object]:
    """A list as it is; newer versions write a single thing without one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _updated(rule: JsonObject) -> Iterable[str]:
    for statement in _as_list(rule.get("expr")):
        change = statement.get("set") if isinstance(statement, dict) else None
        if isinstance(change, dict) and change.get("op") in _UPDATING:
            yield str(change.get("set", "")).removeprefix("@")
