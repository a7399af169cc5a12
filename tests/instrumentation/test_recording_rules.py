"""The recording rules: known to Prometheus, and made of metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flask_caching_instrumentation.metrics.catalogue import CATALOGUE

RULES = Path(__file__).resolve().parents[2] / "dashboards" / "prometheus"


def test_the_rules_use_families_of_the_catalogue() -> None:
    """A metric that is renamed takes its rules along."""
    text = (RULES / "recording.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"\bflask_caching_(\w+)[{\[]", text))
    assert used == {"distinct_keys", "lookups_total", "saved_seconds_total"}
    assert used <= {family.name for family in CATALOGUE}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is missing")
@pytest.mark.parametrize(
    "command",
    [
        ["check", "rules", "--lint=all", "--lint-fatal", "recording.yml"],
        ["test", "rules", "recording.test.yml"],
    ],
    ids=["check", "test"],
)
def test_promtool_accepts_the_rules(command: list[str]) -> None:
    """Their own tests hold, and the linter has nothing to say."""
    done = subprocess.run(
        ["promtool", *command], cwd=RULES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
