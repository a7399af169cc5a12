"""``python -m dashboards.generator``: write the dashboards, or see whether they are up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import FOLDER, PAGES, render

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Write the files that would change, or with ``--check`` name them.

    Returns:
        The exit status: 1 if ``--check`` found a file that differs, is missing, or is of no
        dashboard.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dashboards.generator", description="Write the Grafana dashboards."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; say which files would change"
    )
    check = parser.parse_args(arguments).check
    made = {folder / f"{page.name}.json": render(page).encode() for page in PAGES}
    there = {path: path.read_bytes() for path in folder.glob("*.json")}
    differing = sorted(path for path in made.keys() | there if made.get(path) != there.get(path))
    for path in differing:
        if check:
            print(f"{path} is not what the generator makes", file=sys.stderr)
        elif path in made:
            folder.mkdir(exist_ok=True)
            path.write_bytes(made[path])
            print(f"wrote {path}")
        else:
            path.unlink()
            print(f"deleted {path}, which is of no dashboard")
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
