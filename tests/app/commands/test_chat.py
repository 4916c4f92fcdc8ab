import pytest

from app.commands.api_client import ServiceError
from app.commands.chat import ask
from optimizer.types import JsonObject, JsonValue
from tests.app.chat.serving import MODEL, add_version, serve_service
from tests.app.commands.screen import new_console, text_of
from tests.fakes.openai_server import Stream, sse

KEY = "sk-ours-0123456789abcdef"


def asking(model: str = MODEL, **extension: JsonValue) -> JsonObject:
    return {"model": model, "message": "Why is the sea blue?", "drpo": extension}


async def answered(url: str, request: JsonObject, key: str | None = None) -> tuple[str, str]:
    """What is printed: the answer, and the notes on it."""
    answers, notes = new_console(width=20), new_console()
    await ask(url, key, request, answers=answers, notes=notes)
    return text_of(answers), text_of(notes).strip()


async def test_the_answer_is_aligned_by_the_labelled_version(sqlite_url: str) -> None:
    async with serve_service(sqlite_url) as served:
        version = await add_version(served.prompts, "Be kind.")
        answer, note = await answered(served.url, asking())
        sent = served.fake.requests[-1].body["messages"]
    assert answer.startswith("ananswer")
    assert answer.endswith("\n")
    assert answer.count("\n") == 1, "a narrow terminal wraps the answer itself"
    assert note == f"prompt version: {version.id}"
    assert isinstance(sent, list)
    assert sent[0] == {"role": "system", "content": "Be kind."}


async def test_alignment_can_be_switched_off(sqlite_url: str) -> None:
    async with serve_service(sqlite_url) as served:
        await add_version(served.prompts)
        _, note = await answered(served.url, asking(align=False))
        assert served.fake.requests[-1].body["messages"] == [
            {"role": "user", "content": "Why is the sea blue?"}
        ]
    assert note == "no prompt version: the model as it is"


async def test_a_version_can_be_pinned(sqlite_url: str) -> None:
    async with serve_service(sqlite_url) as served:
        first = await add_version(served.prompts, "First.")
        await add_version(served.prompts, "Second.")
        _, note = await answered(served.url, asking(prompt_version=first.id))
    assert note == f"prompt version: {first.id}"


async def test_an_unknown_model_is_told_in_the_service_s_own_words(sqlite_url: str) -> None:
    async with serve_service(sqlite_url) as served:
        with pytest.raises(ServiceError) as caught:
            await answered(served.url, asking(model="none"))
    assert str(caught.value) == "404: there is no model 'none': use one of tuned, org/base"


async def test_a_wrong_key_is_told_without_the_key(sqlite_url: str) -> None:
    async with serve_service(sqlite_url, server={"api_key": KEY}) as served:
        with pytest.raises(ServiceError, match="401: the API key is missing or wrong") as caught:
            await answered(served.url, asking(), key="sk-wrong")
        answer, _ = await answered(served.url, asking(), key=KEY)
    assert "sk-wrong" not in str(caught.value)
    assert answer


def frames(*words: str) -> list[bytes]:
    """The frames of an answer of these words, without its end."""
    about: JsonObject = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return [
        sse({**about, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
        for word in words
    ]


async def test_an_answer_cannot_use_the_terminal(sqlite_url: str) -> None:
    pieces = frames("[bold]", "loud[/bold] :boom: \x1b[2J", "\r\u202e", "\n\tkept")
    async with serve_service(sqlite_url) as served:
        served.fake.push(Stream(chunks=[*pieces, b"data: [DONE]\n\n"]))
        answer, _ = await answered(served.url, asking())
    assert answer == r"[bold]loud[/bold] :boom: \x1b[2J\r\u202e" + "\n\tkept\n"


async def test_an_answer_that_breaks_off_is_an_error(sqlite_url: str) -> None:
    async with serve_service(sqlite_url) as served:
        served.fake.push(Stream(chunks=frames("half", " an"), drop=True))
        with pytest.raises(ServiceError, match="upstream"):
            await answered(served.url, asking())


async def test_a_service_that_is_not_there_is_named() -> None:
    with pytest.raises(ServiceError, match=r"the service at http://127\.0\.0\.1:9 cannot be reached"):
        await answered("http://127.0.0.1:9", asking())
