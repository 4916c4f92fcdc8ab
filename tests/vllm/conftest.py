"""One server for all tests of a session: it takes half a minute to start."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vllm.server import VllmServer, running


@pytest.fixture(scope="session")
def vllm() -> Iterator[VllmServer]:
    """vLLM with the tiny model and its adapter. Nobody may stop it: start another one for that."""
    started = os.environ.get("VLLM_PORT")
    if started is not None:
        yield VllmServer(Path(os.devnull).parent, port=int(started))
        return
    with running() as server:
        yield server
