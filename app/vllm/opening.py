"""Starting the vLLM server that the settings ask for, if they do, and saying where it is."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import HttpUrl

from app.settings import Settings, environment_of_children
from app.vllm.supervised import SupervisedVllm, Tell
from app.vllm_settings import LOOPBACK, VLLM_BACKEND, url_at
from optimizer.errors import InvalidInputError


@asynccontextmanager
async def open_vllm(settings: Settings, tell: Tell) -> AsyncIterator[tuple[Settings, SupervisedVllm | None]]:
    """A server while the block runs, where the settings name a model for it; the settings say where it is.

    Args:
        settings: everything.
        tell: hears how the start goes, in words.

    Raises:
        InvalidInputError: it cannot be started.
    """
    if settings.vllm.model is None:
        yield settings, None
        return
    placed = _at(settings, _free_port(settings.vllm.port))
    supervised = SupervisedVllm(placed.vllm, environment_of_children(placed), tell=tell)
    async with supervised:
        yield placed, supervised


def require_known_place(settings: Settings) -> None:
    """Refuse settings whose vLLM server another process starts at a port that only that one knows.

    Raises:
        InvalidInputError: they are such.
    """
    if settings.vllm.model is not None and settings.vllm.port == 0:
        raise InvalidInputError(
            "'drpo serve' starts vLLM at a port that no other process knows: start it first, or set "
            "vllm.port to a fixed one",
            param="vllm.port",
        )


def _at(settings: Settings, port: int) -> Settings:
    backend = settings.backends[VLLM_BACKEND].model_copy(update={"base_url": HttpUrl(url_at(port))})
    vllm = settings.vllm.model_copy(update={"port": port})
    return settings.model_copy(
        update={"backends": {**settings.backends, VLLM_BACKEND: backend}, "vllm": vllm}
    )


def _free_port(asked: int) -> int:
    """The port ``asked`` for, or any where that is 0.

    Raises:
        InvalidInputError: another program holds it, and would be taken for the server.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last server's may be waiting still
        try:
            probe.bind((LOOPBACK, asked))
        except OSError as error:
            raise InvalidInputError(
                f"port {asked}, at which vLLM should listen, cannot be had ({error.strerror}): stop what "
                "holds it, or set vllm.port to another one or to 0",
                param="vllm.port",
            ) from error
        port: int = probe.getsockname()[1]
        return port
