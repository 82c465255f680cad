"""The command line in this process: what there is, and what it says."""

import argparse
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from hsmvault.cli.main import command_line, main

KINDS = ("directory", "role", "vault", "subscription", "group")
"""Those of the management plane."""


def every_command(of: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command below."""
    fill = getattr(of, "fill", None)
    if fill is not None:
        of.fill = None  # type: ignore[attr-defined]  # as when its word is read
        fill(of)
    inner = [action for action in of._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield words
    for action in inner:
        for word, below in action.choices.items():
            if words or word in KINDS:
                yield from every_command(below, (*words, word))


def all_commands() -> set[tuple[str, ...]]:
    return set(every_command(command_line()))


class Commands:
    """place: --data-dir or --config, with its value. used: the commands that were given so far."""

    def __init__(self, *place: str) -> None:
        self._place = place
        self._known = all_commands()
        self.used: set[tuple[str, ...]] = set()

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output, error."""
        output, error = io.StringIO(), io.StringIO()
        with redirect_stdout(output), redirect_stderr(error):
            try:
                code = main([*words, *self._place])
            except SystemExit as ended:  # argparse
                code = int(ended.code or 0)
        return code, output.getvalue(), error.getvalue()

    def __call__(self, *words: str) -> Any:
        """JSON where it is JSON. The command must end well, and say nothing on standard error."""
        code, output, error = self.run(*words)
        assert (code, error) == (0, ""), (words, error)
        self.used |= {known for known in self._known if words[: len(known)] == known}
        return json.loads(output) if output.startswith("{") else output


def write(path: Path, text: str) -> str:
    """A file for its owner alone; its name."""
    path.write_text(text)
    path.chmod(0o600)
    return str(path)
