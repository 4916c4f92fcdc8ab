"""Embeddings from a sentence-transformers model on this machine, without any network."""

import asyncio
import hashlib
import importlib
import importlib.metadata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from typing_extensions import override

from optimizer.errors import MalformedResponseError, MisconfiguredError
from optimizer.protocols import Embedder, Vectors

LOCAL = "local"
_MARK = "modules.json"
"""The file that every folder with a sentence-transformers model has."""
_EXTRA = "pip install 'drpo[embeddings]'"
_BLOCK = 2**20


class SentenceEncoder(Protocol):
    """What is used of a ``SentenceTransformer``."""

    def encode(self, sentences: list[str], *, batch_size: int, show_progress_bar: bool) -> object:
        """A matrix with a row for each sentence."""
        ...


LoadEncoder: TypeAlias = Callable[[Path], SentenceEncoder]


class LocalEmbedder(Embedder):
    """A model in this process. It is loaded when it is first needed, and works in a thread of its own.

    Its name holds a hash of its files, so that vectors of another model in the same place are not taken for
    its own.
    """

    def __init__(self, folder: Path, *, label: str, batch_size: int, load: LoadEncoder | None = None) -> None:
        """The model in ``folder``.

        Args:
            folder: a sentence-transformers model.
            label: what it is called in provenance.
            batch_size: texts encoded at once.
            load: reads the model; sentence-transformers by default.
        """
        self._folder = folder
        self._batch_size = batch_size
        self._load = load or load_sentence_transformer
        self._name = f"{LOCAL}/{label}@{_fingerprint(folder)}"
        self._encoder: SentenceEncoder | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embeddings")

    @classmethod
    async def open(cls, model: str, *, batch_size: int, load: LoadEncoder | None = None) -> "LocalEmbedder":
        """The model called ``model``: a folder, or an installed package that carries one.

        Raises:
            MisconfiguredError: there is none; the message says what to change.
        """

        def find() -> LocalEmbedder:
            folder = find_model(model)
            label = Path(model).name if Path(model).is_dir() else model
            return cls(folder, label=label, batch_size=batch_size, load=load)

        return await asyncio.to_thread(find)

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    async def embed(self, texts: Sequence[str]) -> Vectors:
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._encode, list(texts))
        return await work

    async def aclose(self) -> None:
        """End the thread."""
        await asyncio.to_thread(self._thread.shutdown)

    def _encode(self, texts: list[str]) -> Vectors:
        if self._encoder is None:
            self._encoder = self._load(self._folder)
        encoded = self._encoder.encode(texts, batch_size=self._batch_size, show_progress_bar=False)
        vectors = np.asarray(encoded, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():  # noqa: PLR2004
            raise MalformedResponseError(
                f"{self._name} gave no finite vector for each of {len(texts)} texts", backend=LOCAL
            )
        return vectors


def find_model(model: str) -> Path:
    """The folder of the model called ``model``.

    Args:
        model: a folder, or the name of an installed package that carries a model.

    Raises:
        MisconfiguredError: there is none.
    """
    folder = Path(model)
    if (folder / _MARK).is_file():
        return folder
    try:
        files = importlib.metadata.files(model) or []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        files = []
    found = next((file for file in files if file.name == _MARK), None)
    if found is None:
        raise _misconfigured(
            f"retrieval.model {model!r} is neither a folder with a sentence-transformers model nor an "
            "installed package that carries one: give such a folder, or install the package"
        )
    return Path(str(found.locate())).parent


def load_sentence_transformer(folder: Path) -> SentenceEncoder:
    """The model in ``folder``, on the CPU, by nothing but what lies there.

    Raises:
        MisconfiguredError: sentence-transformers is not installed, or cannot read the model.
    """
    try:
        library = importlib.import_module("sentence_transformers")
    except ImportError as error:
        raise _misconfigured(f"retrieval.kind = 'local' needs sentence-transformers: {_EXTRA}") from error
    importlib.import_module("transformers.utils.logging").disable_progress_bar()
    try:
        encoder: SentenceEncoder = library.SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise _misconfigured(f"the model in retrieval.model cannot be read: {error}") from error
    return encoder


def _fingerprint(folder: Path) -> str:
    """12 hex digits that change when a file of the model does."""
    digest = hashlib.sha256()
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:12]


def _misconfigured(message: str) -> MisconfiguredError:
    return MisconfiguredError(message, backend=LOCAL)
