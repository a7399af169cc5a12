"""Running what the manual tells a reader to type into a terminal, and comparing what it shows.

All commands of a page run in one bash, in order, so that a ``cd`` or an ``export`` holds for what
comes after. What begins a server is left to run, and the next command waits until it listens.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.error import HTTPError
from urllib.request import urlopen

from servers import HOST, wait_until

__all__ = ["Command", "Shell", "commands_of", "difference", "substituted"]

#: Seconds that a command may take.
_PATIENCE = 60.0

#: Commands that go on until they are ended.
_SERVERS = re.compile(
    r"(\w+=\S* )*(opentelemetry-instrument )?"
    r"(redis-server|redis-sentinel|memcached|gunicorn|prometheus"
    r"|flask( --app \S+)? run|python app\.py)\b"
)

#: What differs between two runs, and is as right in both.
_VARYING = (
    (re.compile(r"(?<![\w.])\d[\d,]*(\.\d+)?\s?(ns|µs|us|ms|s|min|m|h|d)(?![\w.])"), "<time>"),
    (re.compile(r"(?<![\w.])\d[\d,]*(\.\d+)?\s?(B|kB|MB)(?!\w)"), "<size>"),
)


@dataclass(frozen=True)
class Command:
    """A command of a block.

    Attributes:
        text: What is typed, without prompts.
        shown: What the block shows of its output.
    """

    text: str
    shown: str = ""

    @property
    def is_server(self) -> bool:
        """Whether it goes on until it is ended."""
        return bool(_SERVERS.match(self.text)) and "--daemonize yes" not in self.text

    @property
    def serves_pages(self) -> bool:
        """Whether it is one, of the web: it listens before its workers have the application."""
        return self.is_server and bool(re.search(r"\b(gunicorn|flask|app\.py)\b", self.text))


def commands_of(language: str, text: str) -> list[Command]:
    """The commands of a block.

    With a ``$`` before it a command's output may follow (``console``); without any, each line is
    one, but for those that go on after a backslash, in a quotation or in a here-document.
    """
    if re.search(r"^\$ ", text, re.MULTILINE):
        return list(_after_prompts(text.splitlines()))
    if language == "console":
        return []
    return [Command(each) for each in _joined(text.splitlines())]


def _after_prompts(lines: list[str]) -> Iterator[Command]:
    typed: list[str] = []
    shown: list[str] = []
    for line in [*lines, "$ "]:
        if line.startswith("$ "):
            if typed:
                yield Command("\n".join(typed), "\n".join(shown).strip("\n"))
            typed, shown = [line[2:]], []
        elif line.startswith("> ") and not shown:
            typed.append(line[2:])
        elif _is_unfinished("\n".join(typed)):
            typed.append(line)
        else:
            shown.append(line)


def _joined(lines: list[str]) -> Iterator[str]:
    typed: list[str] = []
    for line in lines:
        typed.append(line)
        text = "\n".join(typed)
        if _is_unfinished(text):
            continue
        typed = []
        if text.strip() and not text.lstrip().startswith("#"):
            yield text
    assert not typed, f"a command that does not end: {typed}"


def _is_unfinished(text: str) -> bool:
    """Whether bash would ask for more."""
    if text.endswith("\\"):
        return True
    here = re.search(r"<<-? *['\"]?(\w+)", text)
    if here:
        return here[1] not in text.splitlines()[1:]
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    return "unexpected end of file" in checked.stderr or "unexpected EOF" in checked.stderr


def difference(shown: str, printed: str, in_order: bool = True) -> str:
    """How what a page shows differs from what was printed; empty if it does not.

    ``...`` stands for anything, as in a doctest. Durations, sizes and the width of columns do not
    count.
    """
    want, got = _without_varying(shown), _without_varying(printed)
    if _same(want, got) if in_order else _same_lines(want.splitlines(), got.splitlines()):
        return ""
    return f"the page shows\n\n{shown}\n\nbut this was printed:\n\n{printed}\n"


def _same(want: str, got: str) -> bool:
    return OutputChecker().check_output(want, got, ELLIPSIS | NORMALIZE_WHITESPACE)


def _same_lines(want: list[str], got: list[str]) -> bool:
    """Whether the lines are the same in any order; with a line ``...``, whether there are more."""
    left = list(got)
    for line in want:
        found = next((each for each in left if _same(line, each)), None)
        if line != "..." and found is None:
            return False
        if line != "..." and found is not None:
            left.remove(found)
    return not left or "..." in want


def _without_varying(text: str) -> str:
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


@dataclass
class Shell:
    """A bash in a folder.

    Attributes:
        folder: Where it begins.
        environment: All variables that it has.
        ports: Ports that servers of the page may listen on.
    """

    folder: Path
    environment: Mapping[str, str]
    ports: tuple[int, ...] = ()
    _lines: SimpleQueue[str] = field(default_factory=SimpleQueue, init=False)
    _status: int = field(default=0, init=False)
    _servers: int = field(default=0, init=False)

    def __enter__(self) -> Shell:
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for port in filter(_is_open, self.ports):
            _ask_to_end(port)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()

    def run(self, command: Command) -> tuple[str, int]:
        """Run a command; what it prints, and its status."""
        if command.is_server:
            return self._begin(command), 0
        printed, self._status = self._ask(
            f"{{ (exit {self._status})\n{command.text}\n}} </dev/null"
        )
        if "--daemonize yes" in command.text and self._status == 0:
            self._wait_for_all(command.text)
        return printed, self._status

    def _begin(self, command: Command) -> str:
        """Begin a server, and wait until one more port is listened on."""
        assert self.ports, (
            f"`{command.text}` listens on a port: let the page say which, <!-- ports: 8000 -->, so "
            "that it can be replaced by a free one"
        )
        before = set(filter(_is_open, self.ports))
        self._servers += 1
        log = self.folder / f"server-{self._servers}.log"
        begun, _ = self._ask(f"{{ {command.text}\n}} >'{log}' 2>&1 </dev/null & echo $!")
        process = int(begun)
        try:
            port = self._wait_for_port(before, command.text, process)
            if command.serves_pages:
                wait_until(
                    lambda: _answers(port) or _has_ended(process),
                    f"`{command.text}` answers",
                    _PATIENCE,
                )
            assert not _has_ended(process), f"`{command.text}` has ended"
        except (AssertionError, TimeoutError) as error:
            error.add_note(log.read_text(errors="replace"))
            raise
        return ""

    def _wait_for_port(self, before: set[int], what: str, process: int = 0) -> int:
        """Wait until one more port is listened on; which one."""
        opened: list[int] = []

        def has_opened() -> bool:
            opened[:] = set(filter(_is_open, self.ports)) - before
            assert not (process and _has_ended(process)), f"`{what}` has ended"
            return bool(opened)

        wait_until(has_opened, f"`{what}` listens on one of {self.ports}", _PATIENCE)
        return opened[0]

    def _wait_for_all(self, text: str) -> None:
        """Wait until all ports are listened on that a command names: a daemon's parent does not."""
        named = [port for port in self.ports if re.search(rf"\b{port}\b", text)]
        assert named, f"`{text}` names no port: let it, and the page <!-- ports: ... -->"
        wait_until(lambda: all(map(_is_open, named)), f"`{text}` listens on {named}", _PATIENCE)

    def _ask(self, text: str) -> tuple[str, int]:
        assert self._process.stdin is not None
        mark = "-- end of command --"
        self._process.stdin.write(f"{text}\nprintf '\\n{mark} %s\\n' $?\n")
        self._process.stdin.flush()
        printed: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=_PATIENCE)
            except Empty:
                so_far = "".join(printed)
                raise TimeoutError(f"`{text}` takes over {_PATIENCE} s:\n{so_far}") from None
            if line.startswith(mark):
                return "".join(printed).removesuffix("\n"), int(line.split()[-1])
            if not line:
                raise AssertionError(f"bash ended in `{text}`:\n{''.join(printed)}")
            printed.append(line)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


def _is_open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _has_ended(process: int) -> bool:
    """Whether a process is gone, or only waits for bash to notice that it has ended."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def _answers(port: int) -> bool:
    """Whether a server of the web answers, whatever it says."""
    try:
        with urlopen(f"http://{HOST}:{port}/", timeout=5):
            return True
    except HTTPError:
        return True
    except OSError:
        return False


def _ask_to_end(port: int) -> None:
    """End what has left the shell's session (``--daemonize yes``): Redis ends if it is told to."""
    with closing(socket.socket()) as asked, suppress(OSError):
        asked.settimeout(1)
        asked.connect((HOST, port))
        asked.sendall(b"SHUTDOWN NOSAVE\r\n")
        asked.recv(100)


def substituted(text: str, numbers: Mapping[str, str]) -> str:
    """A text with other ports."""
    if not numbers:
        return text
    pattern = re.compile(r"(?<!\d)(" + "|".join(map(re.escape, numbers)) + r")(?!\d)")
    return pattern.sub(lambda found: numbers[found[1]], text)
