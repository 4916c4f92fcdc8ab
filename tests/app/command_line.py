"""The command line in this process."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from app.cli import main


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def drpo(*arguments: str) -> Outcome:
    """Run ``drpo`` with ``arguments``; must not be called where a loop runs."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with patch.object(sys, "argv", ["drpo", *arguments]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Outcome(code=code, out=out.getvalue(), err=err.getvalue())
