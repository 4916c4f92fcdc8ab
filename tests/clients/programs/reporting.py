"""What all client programs in Python have in common: their arguments, and the one line that they print."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openai import APIError

QUESTION = "Why is the sea blue?"
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
OUTCOMES = {"weather": "rain in ", "time": "noon in "}


@dataclass(kw_only=True)
class Run:
    """One run of a program: what it was asked, and what has happened so far.

    Attributes:
        url / key / model: whom to ask, as whom, and for which model.
        attempts: requests sent, the client's own retries included.
        pieces: texts of a stream that have arrived.
    """

    url: str
    key: str
    model: str
    attempts: int = 0
    pieces: list[str] = field(default_factory=list)

    def count(self, _: object) -> None:
        """Count a request; a hook of httpx."""
        self.attempts += 1


def main(scenarios: Mapping[str, Callable[[Run], Any]]) -> None:
    """Run the scenario that the command line names, and print its result or its error."""
    url, key, model, name = sys.argv[1:]
    run = Run(url=url, key=key, model=model)
    told: dict[str, Any]
    try:
        told = {"result": scenarios[name](run)}
    except APIError as error:
        told = {
            "pieces": run.pieces,
            "error": {
                "kinds": [kind.__name__ for kind in type(error).__mro__],
                "status": getattr(error, "status_code", None),
                "code": error.code,
                "param": error.param,
                "message": error.message,
            },
        }
    sys.stdout.write(json.dumps({"attempts": run.attempts, **told}) + "\n")
