"""``drpo keys``: make API keys, look at them, change them, revoke them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from app.commands.api_client import ApiClient
from app.commands.connection import ask_service
from app.commands.invocation import (
    ConfigOption,
    JsonOption,
    KeyOption,
    UrlOption,
    errors,
    out,
)
from app.commands.terminal import plain
from optimizer.errors import InvalidInputError

app = typer.Typer(help="API keys: make, list, change and revoke them.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(help="The key's id, key_...")]
ScopeOption = Annotated[
    list[str] | None, typer.Option("--scope", help="serve, optimize or admin; repeatable")
]
ModelOption = Annotated[list[str] | None, typer.Option("--model", help="It may ask this one; repeatable")]
QuotaOption = Annotated[
    list[str] | None,
    typer.Option("--quota", help="e.g. day:requests=1000,cost=5 (hour, day, month, total); repeatable"),
]
RequestsOption = Annotated[int | None, typer.Option("--rpm", help="Requests a minute")]
TokensOption = Annotated[int | None, typer.Option("--tpm", help="Tokens a minute")]
DaysOption = Annotated[float | None, typer.Option("--expires-days", help="It works for so many days")]
NoteOption = Annotated[str | None, typer.Option(help="For people")]


@app.command()
def create(  # noqa: PLR0913, PLR0917 - one parameter for each option
    name: Annotated[str, typer.Argument(help="What or whom it is for")],
    scope: ScopeOption = None,
    model: ModelOption = None,
    quota: QuotaOption = None,
    rpm: RequestsOption = None,
    tpm: TokensOption = None,
    expires_days: DaysOption = None,
    note: NoteOption = None,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Make a key. It is printed this once; only its hash is stored."""
    request = {"name": name, **_given(scope, model, note, expires_days)}
    request["limits"] = _limits(rpm, tpm, quota)
    made = ask_service(lambda client: client.post("/v1/keys", request), config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(made))
        return
    show_keys(errors(), [made])
    errors().print("keep the key: it is shown this once")
    out().print(plain(made["key"]), soft_wrap=True)


@app.command("list")
def list_keys(
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show all keys, newest first."""
    _show(ask_service(_all, config, url, api_key_file), as_json=as_json)


@app.command()
def change(  # noqa: PLR0913, PLR0917 - one parameter for each option
    key: KeyArgument,
    name: Annotated[str | None, typer.Option(help="What or whom it is for")] = None,
    scope: ScopeOption = None,
    model: ModelOption = None,
    quota: QuotaOption = None,
    rpm: RequestsOption = None,
    tpm: TokensOption = None,
    expires_days: DaysOption = None,
    note: NoteOption = None,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Change what a key may do. Any limit that is given replaces all of the key's limits."""
    request = _given(scope, model, note, expires_days)
    if name is not None:
        request["name"] = name
    if (rpm, tpm, quota) != (None, None, None):
        request["limits"] = _limits(rpm, tpm, quota)
    _show(
        ask_service(lambda client: client.patch(_path(key), request), config, url, api_key_file),
        as_json=as_json,
    )


@app.command()
def revoke(
    key: KeyArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Take a key out of use for ever."""
    _show(ask_service(lambda client: client.delete(_path(key)), config, url, api_key_file), as_json=as_json)


def show_keys(console: Console, keys: list[dict[str, Any]]) -> None:
    """One line per key."""
    table = Table(title="API keys", title_justify="left")
    for heading in ("id", "begins with", "name", "scopes", "models", "limits", "state", "last used"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        cells = (
            key["id"],
            key["prefix"],
            key["name"],
            ", ".join(key["scopes"]),
            "all" if key["models"] is None else ", ".join(key["models"]) or "none",
            _describe_limits(key["limits"]),
            _describe_end(key),
            _moment(key["last_used_at"]) or "never",
        )
        table.add_row(*(plain(cell) for cell in cells))
    console.print(table)


def parse_quota(text: str) -> dict[str, Any]:
    """``period:name=amount,...`` as a quota of the API; what it means is checked there.

    Raises:
        InvalidInputError: it has another form.
    """
    period, _, amounts = text.partition(":")
    quota: dict[str, Any] = {"period": period}
    for part in amounts.split(","):
        name, _, amount = part.partition("=")
        try:
            quota[name.strip()] = float(amount) if name.strip() == "cost" else int(amount)
        except ValueError:
            raise InvalidInputError(
                f"--quota {text!r}: write it like day:requests=1000,tokens=500000,cost=5", param="quota"
            ) from None
    return quota


def _given(
    scope: list[str] | None, model: list[str] | None, note: str | None, expires_days: float | None
) -> dict[str, Any]:
    expires = None if expires_days is None else (datetime.now(UTC) + timedelta(days=expires_days)).timestamp()
    fields = {"scopes": scope, "models": model, "note": note, "expires_at": expires}
    return {name: value for name, value in fields.items() if value is not None}


def _limits(rpm: int | None, tpm: int | None, quota: list[str] | None) -> dict[str, Any]:
    quotas = [parse_quota(text) for text in quota or []]
    return {"requests_per_minute": rpm, "tokens_per_minute": tpm, "quotas": quotas}


def _show(found: Any, *, as_json: bool) -> None:
    if as_json:
        out().print_json(json.dumps(found))
    else:
        show_keys(out(), found if isinstance(found, list) else [found])


async def _all(client: ApiClient) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = []
    page: dict[str, Any] = await client.get("/v1/keys", limit=100)
    keys += page["data"]
    while page["has_more"]:
        page = await client.get("/v1/keys", limit=100, after=page["last_id"])
        keys += page["data"]
    return keys


def _path(key: str) -> str:
    return f"/v1/keys/{quote(key, safe='')}"


def _describe_limits(limits: dict[str, Any]) -> str:
    rates = {"requests/min": limits["requests_per_minute"], "tokens/min": limits["tokens_per_minute"]}
    parts = [f"{amount:,} {unit}" for unit, amount in rates.items() if amount is not None]
    for quota in limits["quotas"]:
        amounts = [f"{quota[name]:,} {name}" for name in ("requests", "tokens", "cost") if quota.get(name)]
        parts.append(f"{' and '.join(amounts)} a {quota['period']}".replace("a total", "in all"))
    return "; ".join(parts) or "none"


def _describe_end(key: dict[str, Any]) -> str:
    if key["revoked_at"] is not None:
        return f"revoked {_moment(key['revoked_at'])}"
    if key["expires_at"] is None:
        return "valid"
    has_ended = key["expires_at"] <= datetime.now(UTC).timestamp()
    return f"{'expired' if has_ended else 'until'} {_moment(key['expires_at'])}"


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
