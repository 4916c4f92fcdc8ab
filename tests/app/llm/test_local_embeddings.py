import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from app.llm.local_embeddings import LocalEmbedder, find_model, load_sentence_transformer
from optimizer.errors import MalformedResponseError, MisconfiguredError
from tests.fakes.embeddings import WordEncoder, model_folder


async def test_a_model_is_loaded_once_and_when_it_is_needed(tmp_path: Path) -> None:
    loaded: list[WordEncoder] = []

    def load(folder: Path) -> WordEncoder:
        loaded.append(WordEncoder(folder))
        return loaded[-1]

    folder = model_folder(tmp_path / "small")
    embedder = await LocalEmbedder.open(str(folder), batch_size=3, load=load)
    assert loaded == []
    await embedder.embed(["a"])
    await embedder.embed(["b"])
    await embedder.aclose()
    assert [(encoder.folder, encoder.batches) for encoder in loaded] == [(folder, [3, 3])]


async def test_another_model_in_the_same_place_has_another_name(tmp_path: Path) -> None:
    names = set()
    for content in ("{}", "{}", '{"layers": 2}'):
        folder = model_folder(tmp_path / "small", content)
        names.add((await LocalEmbedder.open(str(folder), batch_size=1, load=WordEncoder)).name)
    assert len(names) == 2
    assert all(name.startswith("local/small@") for name in names)


@pytest.mark.parametrize("given", [[[1.0], [2.0]], [1.0], [[float("inf")]]])
async def test_what_is_no_vector_for_each_text_is_malformed(tmp_path: Path, given: object) -> None:
    embedder = LocalEmbedder(
        model_folder(tmp_path), label="m", batch_size=1, load=lambda folder: WordEncoder(folder, broken=given)
    )
    with pytest.raises(MalformedResponseError):
        await embedder.embed(["a"])
    await embedder.aclose()


@pytest.mark.parametrize("model", ["no-such-package", "pytest", ""])
def test_a_model_that_is_not_there_is_a_setting_to_change(model: str) -> None:
    with pytest.raises(MisconfiguredError, match=r"retrieval\.model"):
        find_model(model)


def test_a_package_that_carries_a_model_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder(tmp_path / "some_model" / "model")
    about = tmp_path / "some_model-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n")
    (about / "RECORD").write_text("some_model/model/modules.json,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_model("some-model") == folder


def test_without_the_extra_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MisconfiguredError, match=r"pip install 'drpo\[embeddings\]'"):
        load_sentence_transformer(tmp_path)


def stand_in(monkeypatch: pytest.MonkeyPatch, transformer: object) -> None:
    """Modules with the names of the library's, as far as they are used."""
    for name in ("sentence_transformers", "transformers", "transformers.utils", "transformers.utils.logging"):
        module = ModuleType(name)
        module.SentenceTransformer = transformer  # type: ignore[attr-defined]
        module.disable_progress_bar = lambda: None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)


def test_a_model_is_read_from_its_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, object]]] = []

    def transformer(folder: str, **options: object) -> WordEncoder:
        asked.append((folder, options))
        return WordEncoder(Path(folder))

    stand_in(monkeypatch, transformer)
    encoder = load_sentence_transformer(tmp_path)
    encoded = np.asarray(encoder.encode(["a"], batch_size=1, show_progress_bar=False))
    assert encoded.shape == (1, 64)
    assert asked == [(str(tmp_path), {"device": "cpu", "local_files_only": True, "trust_remote_code": False})]


def test_a_model_that_cannot_be_read_is_a_setting_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def transformer(folder: str, **options: object) -> WordEncoder:
        raise OSError("no config.json")

    stand_in(monkeypatch, transformer)
    with pytest.raises(MisconfiguredError, match=r"no config\.json"):
        load_sentence_transformer(tmp_path)
