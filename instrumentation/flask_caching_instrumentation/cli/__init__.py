"""``flask cache ...``: what an operator, or a build, asks of the caches from a terminal.

Flask loads this module whenever its command runs, in every application, so it imports nothing
that it can do without: what a command needs is imported when that command is asked for, and the
list of commands is made from the table here.

Exit codes: 0 fine, 1 something was found (or not found), 2 wrong usage, 3 the cache's store failed.
"""

from __future__ import annotations

import importlib
import logging
from types import MappingProxyType
from typing import Any, Final, cast

import click
from flask.cli import AppGroup, ScriptInfo

__all__ = ["cache"]

logger = logging.getLogger("flask_caching")

#: Where each command is, and what the list of commands says of it.
_COMMANDS: Final = MappingProxyType(
    {
        "audit": ("auditing", "Find requests that wrongly share a key."),
        "clear": ("deletion", "Delete everything that a cache holds."),
        "compare": ("requests", "Whether requests share a key, and what differs."),
        "config": ("settings", "Every setting, its value and where that is from."),
        "delete": ("deletion", "Delete keys, those with a text, or a function's."),
        "explain": ("requests", "The key of a request, and what would become of it."),
        "functions": ("functions", "What is cached, where and how."),
        "get": ("keys", "Show what is stored under a key."),
        "keys": ("keys", "List the keys that a cache holds."),
        "off": ("switch", "Let decorated functions run uncached, in every worker."),
        "on": ("switch", "Use the cache again, in every worker."),
        "ping": ("servers", "Ask each cache server, and say how long that took."),
        "stats": ("statistics", "What each cache holds, and how its lookups ended."),
    }
)


class _CacheGroup(AppGroup):
    """Our commands, and those of a group called ``cache`` that the application has itself.

    Flask looks for commands of packages first, so that the application's would be hidden.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = _own_group(ctx)
        ours = super().list_commands(ctx)
        return sorted({*_COMMANDS, *ours, *(own.list_commands(ctx) if own else ())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = _own_group(ctx)
        command = own.get_command(ctx, cmd_name) if own else None
        return command or super().get_command(ctx, cmd_name) or _imported(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, ours from the table."""
        own = _own_group(ctx)
        rows: list[tuple[str, str]] = []
        for name in self.list_commands(ctx):
            command = own.get_command(ctx, name) if own else None
            command = command or super().get_command(ctx, name)
            if command is None:
                rows.append((name, _COMMANDS[name][1]))
            elif not command.hidden:
                rows.append((name, command.get_short_help_str(formatter.width)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _imported(name: str) -> click.Command | None:
    """A command of ours, from its module."""
    if name not in _COMMANDS:
        return None
    module = importlib.import_module(f".{_COMMANDS[name][0]}", __name__)
    return cast("dict[str, click.Command]", module.COMMANDS)[name]


def _own_group(ctx: click.Context) -> Any:
    """The application's own group called ``cache``, if it can be loaded and has one."""
    try:
        group = ctx.ensure_object(ScriptInfo).load_app().cli.commands.get("cache")
    except Exception:
        # Whoever runs a command will be told what is wrong with the application.
        logger.debug("the application cannot be loaded", exc_info=True)
        return None
    return group if hasattr(group, "list_commands") and group is not cache else None


cache = _CacheGroup("cache", help="Look into this application's caches, and look after them.")
