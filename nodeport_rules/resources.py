"""The templates, wherever they are: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nodeport_rules.errors import NodeportRulesError

if TYPE_CHECKING:
    from jinja2 import Environment

PACKAGE = Path(__file__).parent


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    for folder in (PACKAGE / "templates", PACKAGE.parent / "templates"):
        if folder.is_dir():
            return Environment(
                loader=FileSystemLoader(folder),
                undefined=StrictUndefined,
                keep_trailing_newline=True,
                autoescape=False,  # rules are no HTML; only validated values are filled in
            )
    raise NodeportRulesError(
        f"no templates in {PACKAGE}: the installation is damaged; install nodeport-rules again"
    )


def render_template(name: str, **values: object) -> str:
    """The template with `values` filled in; naming one that is not given is an error."""
    return _environment().get_template(name).render(**values)
