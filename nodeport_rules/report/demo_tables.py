"""The tables of `nodeport-rules demo`."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from nodeport_rules.report.measured import Measurement


def chains_table(measurement: Measurement) -> Table:
    """The rules that first packets went through, chain by chain, with how many on each node."""
    table = Table(
        title="Chains walked (first packets of connections, table nat)",
        title_justify="left",
        box=box.SIMPLE,
    )
    for heading in ("chain", "matches", "leads to"):
        table.add_column(heading, overflow="fold")
    for one in measurement.nodes:
        table.add_column(one.node, justify="right")
    last = ""
    for step in measurement.steps:
        table.add_row(
            step.chain if step.chain != last else "",
            step.matches or "everything",
            step.leads_to,
            *(f"{packets:,}" if packets else "" for packets in step.packets),
        )
        last = step.chain
    return table


def shares_table(measurement: Measurement, places: dict[str, str]) -> Table:
    """Each pod's expected and measured share; `places` says for each pod where it is."""
    shares = measurement.shares()
    table = Table(title="Shares", title_justify="left", box=box.SIMPLE)
    table.add_column("pod")
    table.add_column("at")
    for heading in ("connections", "expected", "measured"):
        table.add_column(heading, justify="right")
    for row in shares.rows:
        table.add_row(
            row.name,
            places.get(row.name, ""),
            f"{row.connections:,}",
            "all or nothing" if measurement.sticky else f"{row.expected:.1%}",
            f"{row.measured:.1%}",
        )
    for name, count in shares.unexpected:
        table.add_row(
            name, places.get(name, ""), f"{count:,}", "none", f"{count / shares.total:.1%}"
        )
    return table


def share_verdict(measurement: Measurement) -> str:
    """One sentence about the shares; empty when there is nothing to say."""
    shares = measurement.shares()
    if measurement.sticky or len(shares.rows) < 2 or not shares.total:
        return ""
    return (
        f"Chance alone gives shares at least this uneven in {shares.probability:.0%} of all runs "
        f"(chi-squared {shares.statistic:.1f}, {len(shares.rows) - 1} degrees of freedom)."
    )


def sources_sentence(measurement: Measurement, names: dict[str, str]) -> str:
    """What source addresses the pods saw; `names` says whose address it is."""
    seen = measurement.sources()
    if not seen:
        return "No pod was reached."
    total = sum(seen.values())
    parts = [
        f"{address} ({names.get(address, 'unknown')}) {count:,} times"
        for address, count in seen.items()
    ]
    return f"Source address that the pods saw, in {total:,} connections: {_listed(parts)}."


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
