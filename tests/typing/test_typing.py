"""Type checkers agree on what users write; see ``decorators.py``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in Path(__file__).parent.glob("*.py") if path != Path(__file__))
EXPECTED = re.compile(r"\s*# (type|pyright): ignore\[.*", re.MULTILINE)


@pytest.fixture
def checked(tmp_path: Path) -> dict[Path, set[int]]:
    """Copies of the files without their ignore comments, and the lines that had one."""
    lines: dict[Path, set[int]] = {}
    for file in FILES:
        text = file.read_text()
        copy = tmp_path / file.name
        copy.write_text(EXPECTED.sub("", text))
        lines[copy] = {
            number for number, line in enumerate(text.splitlines(), 1) if EXPECTED.search(line)
        }
    return lines


def test_mypy_finds_the_wrong_lines_and_no_others(checked: dict[Path, set[int]]) -> None:
    """In strict mode, every line marked as wrong is an error, and nothing else is."""
    command = ["mypy", "--strict", "--output=json", "--config-file=pyproject.toml"]
    found: dict[Path, set[int]] = {path: set() for path in checked}
    for line in _output(*command, *map(str, checked)).splitlines():
        report = json.loads(line)
        if report["severity"] == "error":
            found[Path(report["file"])].add(report["line"])
    assert found == checked


def test_pyright_finds_the_wrong_lines_and_no_others(checked: dict[Path, set[int]]) -> None:
    """In strict mode, every line marked as wrong is an error, and nothing else is."""
    folder = next(iter(checked)).parent
    settings = {
        "typeCheckingMode": "strict",
        "include": ["."],
        "extraPaths": [str(ROOT), str(ROOT / "instrumentation")],
        "pythonVersion": "3.11",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = ["pyright", "--pythonpath", sys.executable, "--outputjson", "--project", str(folder)]
    found: dict[Path, set[int]] = {path: set() for path in checked}
    for report in json.loads(_output(*command))["generalDiagnostics"]:
        if report["severity"] == "error":
            found[Path(report["file"])].add(report["range"]["start"]["line"] + 1)
    assert found == checked


def test_the_ignore_comments_name_the_right_errors() -> None:
    """mypy accepts the files as they are: no comment hides nothing, or another error."""
    _output("mypy", "--strict", *map(str, FILES), status=0)


def _output(*command: str, status: int | None = None) -> str:
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert status is None or result.returncode == status, result.stdout + result.stderr
    return result.stdout
