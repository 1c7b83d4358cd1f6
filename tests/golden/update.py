"""Rewrites the goldens from what the compiler prints now, and says what changed.

`make golden` runs it. A golden only records: read the diff before committing it.
"""

from __future__ import annotations

import sys

from tests.golden.cases import ACTUAL, FOLDER, MANIFESTS, Case, all_cases


def update(case: Case) -> list[str]:
    """Writes what differs, removes what does not belong there; one line for each file."""
    said = []
    for name, text in case.print_now().items():
        path = case.folder / name
        before = path.read_text() if path.exists() else None
        if before != text:
            path.write_text(text)
            said.append(f"{'new' if before is None else 'changed'}: {case.name}/{name}")
    for path in sorted(case.folder.iterdir()):
        if path.name == MANIFESTS or path.name in case.expected_files():
            continue
        path.unlink()
        if not path.name.endswith(ACTUAL):
            said.append(f"removed: {case.name}/{path.name}")
    return said


def main() -> int:
    """Updates all cases; the exit status is 0 also when something changed."""
    cases = all_cases()
    said = [line for case in cases for line in update(case)]
    print("\n".join(said) if said else f"all {len(cases)} cases in {FOLDER.name}/ are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
