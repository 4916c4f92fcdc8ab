"""``drpo chat``: one question through the official SDK, streamed."""

from openai import APIConnectionError, APIError, APIStatusError
from rich.console import Console

from app.chat.headers import UNALIGNED, VERSION_HEADER
from app.commands.api_client import ServiceError, open_sdk
from app.commands.terminal import plain, write
from optimizer.types import JsonObject


async def ask(
    base_url: str, api_key: str | None, request: JsonObject, *, answers: Console, notes: Console
) -> None:
    """Print the answer as it comes, and the prompt version that gave it.

    Args:
        base_url: the service, without ``/v1``.
        api_key: its key, or None.
        request: ``model``, ``message``, and the ``drpo`` extension.
        answers: where to print the answer, and nothing else.
        notes: where to print the version.

    Raises:
        ServiceError: the service or the backend failed.
    """
    try:
        async with open_sdk(base_url, api_key) as client:
            raw = await client.chat.completions.with_raw_response.create(
                model=str(request["model"]),
                messages=[{"role": "user", "content": str(request["message"])}],
                stream=True,
                extra_body={"drpo": request["drpo"]},
            )
            async for chunk in raw.parse():
                for choice in chunk.choices:
                    write(answers, choice.delta.content or "", end="")
    except APIConnectionError as error:
        raise ServiceError(f"the service at {base_url} cannot be reached") from error
    except APIError as error:
        raise ServiceError(_explain(error)) from error
    write(answers, "")
    version = raw.headers.get(VERSION_HEADER, UNALIGNED)
    told = "no prompt version: the model as it is" if version == UNALIGNED else f"prompt version: {version}"
    notes.print(plain(f"\n{told}", style="dim"))


def _explain(error: APIError) -> str:
    """The service's own words, without the SDK's around them."""
    message = error.body.get("message") if isinstance(error.body, dict) else None
    text = message if isinstance(message, str) else error.message
    return f"{error.status_code}: {text}" if isinstance(error, APIStatusError) else text
