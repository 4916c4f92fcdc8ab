"""A program that behaves like ``vllm serve``, or misbehaves as the variable FAKE_VLLM says.

It is copied and run by itself, so it needs nothing but the standard library.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BEHAVIOUR: dict[str, Any] = json.loads(os.environ.get("FAKE_VLLM", "{}"))
FOLDER = Path(__file__).parent


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def argument(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def note_start() -> int:
    """How often it has been started, this time included; what it was started with is written down."""
    record = FOLDER / "starts.jsonl"
    line = json.dumps({"pid": os.getpid(), "argv": sys.argv[1:], "env": dict(os.environ)})
    with record.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return len(record.read_text(encoding="utf-8").splitlines())


class Handler(BaseHTTPRequestHandler):
    looks = 0

    def do_GET(self) -> None:
        Handler.looks += 1
        is_well = self.path == "/health" and Handler.looks > BEHAVIOUR.get("slow_for", 0)
        self._answer(200 if is_well else 503, {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/die":
            say("ERROR 11-27 08:00:00 [core.py:1] the engine is dead")
            os._exit(int(asked["status"]))
        message = {"role": "assistant", "content": f"{asked['model']} says hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
        self._answer(200, {"id": "c", "model": asked["model"], "choices": [choice], "usage": usage})

    def log_message(self, *arguments: Any) -> None:  # type: ignore[explicit-override]
        say(f"(APIServer pid={os.getpid()}) INFO {self.path}")

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    starts = note_start()
    if starts in BEHAVIOUR.get("fails_at", []) or BEHAVIOUR.get("always_fails"):
        say("INFO loading the model")
        say(BEHAVIOUR.get("last_words", "ValueError: something is wrong"))
        sys.exit(3)
    if BEHAVIOUR.get("ignores_sigterm"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if BEHAVIOUR.get("complains_at_its_end"):

        def complain(*_: object) -> None:
            say("ERROR the engine is dead")
            sys.exit(0)

        signal.signal(signal.SIGTERM, complain)
    if BEHAVIOUR.get("has_an_engine"):
        engine = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        (FOLDER / "engine.pid").write_text(str(engine.pid), encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", int(argument("--port"))), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("INFO Application startup complete.")
    while True:
        signal.pause()


main()
