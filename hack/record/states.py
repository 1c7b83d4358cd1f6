#!/usr/bin/env python3
"""Write the cluster states that are recorded as tests/conformance/recordings/extra-*.

    states.py --out DIR [--seeds FIRST-LAST]

The same states every time: the random ones come from fixed seeds. record.py takes it from there.
With --seeds only random states are written, from those seeds: a hunt for what no recording shows.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cases_config
import cases_endpoints
import cases_random
import cases_services
from state import State


def states() -> Iterator[State]:
    """Every state, named for its folder."""
    rooms = (cases_config, cases_services, cases_endpoints, cases_random)
    for room in rooms:
        for state in room.cases():
            state.name = f"extra-{state.name}"
            yield state


def main() -> int:
    """Write them all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", metavar="FIRST-LAST", help="write random states of these seeds")
    options = parser.parse_args()
    if options.seeds:
        first, last = (int(part) for part in options.seeds.split("-"))
        wanted = cases_random.cases(range(first, last + 1))
    else:
        wanted = states()
    for state in wanted:
        state.write(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
