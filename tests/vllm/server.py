"""vLLM servers of the tests' own, with the tiny model, which they may stop and kill."""

import asyncio
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

MODEL = "tiny"
ADAPTER = "tiny-adapter"
CONTEXT = 4096
"""Tokens of prompt and answer together."""

AT_ONCE = 32
"""Requests that are worked on beside each other; further ones queue."""

_PROGRAM = Path(__file__).with_name("tiny_model.py")
_START_SECONDS = 300.0
"""Twenty on an idle machine; several times that where others work on it."""
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_STRUCTURED = '{"backend":"xgrammar","disable_any_whitespace":true}'

_FLAGS = (
    *("--host", "127.0.0.1", "--dtype", "float32", "--enforce-eager", "--max-model-len", str(CONTEXT)),
    *("--block-size", "32", "--enable-prompt-tokens-details"),
    *(
        "--structured-outputs-config",
        _STRUCTURED,
        "--enable-auto-tool-choice",
        "--tool-call-parser",
        "hermes",
    ),
    *("--scheduling-policy", "priority", "--max-num-seqs", str(AT_ONCE)),
)
"""float32 gives the same numbers on all processors; compiling takes longer than these tests. Prefixes
are kept in whole blocks: the 128 tokens that are usual on CPUs are more than short prompts have. Random
weights fill JSON with blanks where they may."""
ENVIRONMENT = {
    # One process starts sooner than two, but threads of OpenMP would slow each other down in it, twentyfold.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "OMP_NUM_THREADS": "1",
    # The first request with log-probabilities would compile a function for half a minute.
    "TORCHDYNAMO_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


NOTHING: Mapping[str, str] = {}


def installed() -> Path:
    """The environment that ``requirements/vllm.sh`` has filled; ``make vllm-tests`` says which it is."""
    return Path(os.environ["VLLM"]).absolute()


def tiny_model(seed: int = 0) -> Path:
    """The folder with ``model`` and ``adapter``, which are made where they are not there yet."""
    version = hashlib.sha256(_PROGRAM.read_bytes()).hexdigest()[:12]
    folder = installed() / "tiny" / f"{version}-{seed}"
    if not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as making:
            environment = {**os.environ, **ENVIRONMENT}
            command = [
                str(part) for part in (installed() / "bin" / "python", _PROGRAM, f"{making}/made", seed)
            ]
            done = subprocess.run(command, env=environment, check=False, capture_output=True)  # noqa: S603 - ours
            assert not done.returncode, done.stderr.decode()
            try:
                (Path(making) / "made").rename(folder)
            except OSError:
                assert folder.is_dir()  # another session was quicker
    return folder


class VllmServer:
    """A server with the tiny model and its adapter, on a port that it keeps when it starts again.

    Attributes:
        root: where it is, without the path of the API.
        log: the file with what it says.
    """

    def __init__(
        self,
        folder: Path,
        *flags: str,
        memory: str = "256M",
        adapter: bool = True,
        port: int | None = None,
        environment: Mapping[str, str] = NOTHING,
    ) -> None:
        """A server that keeps its files in ``folder``; nothing is started.

        Args:
            folder: exists.
            flags: further ones of ``vllm serve``; of two that are the same the last holds.
            memory: for the cache of keys and values, 2 KB a token.
            adapter: whether it serves the adapter, too, which makes all answers a little slower.
            port: of loopback; by default a free one.
            environment: further variables.
        """
        if port is None:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
        self.root = f"http://127.0.0.1:{port}"
        self.log = folder / f"vllm-{port}.log"
        made = tiny_model()
        served: tuple[str, ...] = (
            "--served-model-name",
            MODEL,
            "--port",
            str(port),
            "--kv-cache-memory-bytes",
            memory,
        )
        if adapter:
            served += (
                "--enable-lora",
                "--max-lora-rank",
                "8",
                "--lora-modules",
                f"{ADAPTER}={made / 'adapter'}",
            )
        program = str(installed() / "bin" / "vllm")
        self._command = [program, "serve", str(made / "model"), *_FLAGS, *served, *flags]
        self._environment = {**os.environ, **ENVIRONMENT, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What a backend's ``base_url`` is."""
        return f"{self.root}/v1"

    def begin(self) -> None:
        """Start it; it answers some twenty seconds later."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own server
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Whether it is up.

        Raises:
            RuntimeError: it has ended by itself.
        """
        if self._process is not None and self._process.poll() is not None:
            said = "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
            raise RuntimeError(f"vLLM ended with {self._process.returncode}:\n{said}")
        try:
            return httpx.get(f"{self.root}/health", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def wait(self) -> None:
        """Wait until it is up."""
        latest = time.monotonic() + _START_SECONDS
        while not self.answers():
            if time.monotonic() > latest:
                raise TimeoutError(f"vLLM is not up after {_START_SECONDS} s")
            time.sleep(_LOOK_SECONDS)

    async def until_up(self) -> None:
        """Wait until it is up, and let others work meanwhile."""
        await asyncio.to_thread(self.wait)

    def kill(self) -> None:
        """End it, and all its processes, as a crash does."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Ask it to end, and wait until it has."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None


@contextmanager
def running(
    *flags: str, memory: str = "256M", adapter: bool = True, environment: Mapping[str, str] = NOTHING
) -> Iterator[VllmServer]:
    """A server that is up, until the block ends; see ``VllmServer``."""
    folder = Path(tempfile.mkdtemp(prefix="drpo-vllm-"))
    server = VllmServer(folder, *flags, memory=memory, adapter=adapter, environment=environment)
    try:
        server.begin()
        server.wait()
        yield server
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with running() as up:
        sys.stdout.write(f"{up.url} answers until this program is interrupted\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
