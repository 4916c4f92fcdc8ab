"""One server for all tests of a session: it takes half a minute to start."""

from collections.abc import Iterator

import pytest

from tests.vllm.server import VllmServer, running


@pytest.fixture(scope="session")
def vllm() -> Iterator[VllmServer]:
    """vLLM with the tiny model and its adapter. Nobody may stop it: start another one for that."""
    with running() as server:
        yield server
