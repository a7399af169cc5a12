"""Every block of data is read by what its readers use."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from manual_blocks import Block, parsed
from manual_pages import blocks_in, ids, page_at
from manual_shell import commands_of
from servers import find_binary


def read_json(block: Block, folder: Path) -> None:
    """It parses, and there is something in it."""
    assert json.loads(block.text)


def read_toml(block: Block, folder: Path) -> None:
    """It parses, and there is something in it."""
    assert tomllib.loads(block.text)


def read_ini(block: Block, folder: Path) -> None:
    """It parses, and has sections."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.read_string(block.text)
    assert parser.sections()


def read_yaml(block: Block, folder: Path) -> None:
    """It parses; what is for Prometheus is what Prometheus takes."""
    yaml = pytest.importorskip("yaml")
    read = list(yaml.safe_load_all(block.text))
    assert read
    keys = read[0] if isinstance(read[0], dict) else {}
    for key, kind in (("groups", ["rules"]), ("scrape_configs", ["config", "--syntax-only"])):
        if key in keys:
            promtool(folder, block.text, *kind)


def read_promql(block: Block, folder: Path) -> None:
    """Each expression (a blank line is between two) is one that Prometheus parses."""
    expressions = [each for each in re.split(r"\n\s*\n", block.text) if each.strip()]
    assert expressions
    rules = [{"record": f"page:expression{n}", "expr": e} for n, e in enumerate(expressions)]
    promtool(folder, json.dumps({"groups": [{"name": "page", "rules": rules}]}), "rules")


def read_conf(block: Block, folder: Path) -> None:
    """It names its file, and a command of the page uses that."""
    assert block.file, f"{block.place}: begin it with `# NAME.conf`"
    typed = "\n".join(
        command.text
        for each in page_at(block.page).of("console", "shell", "sh")
        for command in commands_of(each.language, each.text)
    )
    assert block.file in typed, f"no command of the page uses {block.file}"


def promtool(folder: Path, text: str, *arguments: str) -> None:
    """Have Prometheus's own tool check a file."""
    (folder / "checked.yml").write_text(text, encoding="utf-8")
    ran = subprocess.run(
        [find_binary("promtool"), "check", *arguments, "checked.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


READERS: dict[str, Callable[[Block, Path], None]] = {
    "json": read_json,
    "toml": read_toml,
    "ini": read_ini,
    "yaml": read_yaml,
    "promql": read_promql,
    "conf": read_conf,
}

WRONG = {
    "json": "{'key': 1}",
    "toml": "key = ",
    "ini": "key = value",
    "yaml": "groups: [{name: g, rules: [{record: a, expr: 'rate(x)'}]}]",
    "promql": "sum(rate(flask_caching_lookups_total[5m])",
    "conf": "maxmemory 2gb",
}


def test_every_block_of_data_is_read(tmp_path: Path) -> None:
    """By what reads its language; one that is wrong is named by its place."""
    for block in blocks_in(*READERS):
        try:
            READERS[block.language](block, tmp_path)
        except Exception as error:
            error.add_note(f"in {block.place}")
            raise


@pytest.mark.parametrize("language", READERS)
def test_a_block_that_is_wrong_is_found(language: str, tmp_path: Path) -> None:
    """So that the test above can fail."""
    [block] = parsed("README.md", f"```{language}\n{WRONG[language]}\n```\n").blocks
    assert ids(block) == "README.md:2"
    with pytest.raises((AssertionError, ValueError, configparser.Error)):
        READERS[language](block, tmp_path)
