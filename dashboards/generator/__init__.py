"""What makes the Grafana dashboards: ``python -m dashboards.generator``, from the root.

It writes ``dashboards/grafana/*.json``, which are committed, so that an operator needs nothing
but those files. Names of metrics come from the metric catalogue, and where alerts begin from
``dashboards/prometheus/alerts.yml``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from .frame import Page
from .keys import KEYS
from .load import LOAD
from .overview import OVERVIEW

__all__ = ["FOLDER", "PAGES", "render"]

#: Where the dashboards are.
FOLDER: Final = Path(__file__).resolve().parents[1] / "grafana"

#: The dashboards, in the order in which one looks at them.
PAGES: Final = (OVERVIEW, KEYS, LOAD)


def render(page: Page) -> str:
    """A dashboard as the text of its file; always the same for the same page."""
    return json.dumps(page.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
