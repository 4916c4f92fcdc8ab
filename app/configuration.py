"""What a configuration is made of: TOML files, secrets, embedded defaults, and messages for people."""

import ipaddress
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pydantic import SecretStr, ValidationError

from optimizer.errors import InvalidInputError
from optimizer.types import JsonObject, JsonValue


def read_toml(path: Path) -> JsonObject:
    """The content of a TOML file.

    Raises:
        InvalidInputError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"cannot read the configuration file {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{path} is not valid TOML: {error}") from error


def read_secret(path: Path, field: str) -> SecretStr:
    """The secret in a file, without the white space around it.

    Args:
        path: the file.
        field: the setting that names it, for messages.

    Raises:
        InvalidInputError: the file cannot be read or is empty.
    """
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{field}: cannot read {path}: {type(error).__name__}", param=field) from None
    return check_secret(value, field)


def check_secret(value: str, field: str) -> SecretStr:
    """``value`` as a secret that fits into an HTTP header.

    Raises:
        InvalidInputError: it is empty, or holds characters that no key has. The message does not show it.
    """
    if not value:
        raise InvalidInputError(f"{field} leads to an empty key: give it a value or remove it", param=field)
    if not (value.isascii() and value.isprintable()):
        raise InvalidInputError(
            f"{field} leads to a key with line breaks or non-ASCII characters: copy it again", param=field
        )
    return SecretStr(value)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``; names other than localhost are taken to be reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def merge(below: Mapping[str, JsonValue], above: Mapping[str, JsonValue]) -> JsonObject:
    """Both together; where they disagree ``above`` wins, table by table."""
    merged: JsonObject = dict(below)
    for key in above:
        value, present = above[key], merged.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            value = merge(present, value)
        merged[key] = value
    return merged


def refuse_unknown(variables: Iterable[str], prefix: str, delimiter: str, *, groups: Collection[str]) -> None:
    """A misspelt variable would otherwise be ignored. Only nested names are surely meant for us.

    Raises:
        InvalidInputError: a variable with ``prefix`` and ``delimiter`` in its name is in none of ``groups``.
    """
    for variable in variables:
        name = variable.upper().removeprefix(prefix)
        if variable.upper() == name or delimiter not in name:
            continue
        if name.split(delimiter)[0].lower() not in groups:
            raise InvalidInputError(
                f"the environment variable {variable} names no setting: "
                f"the groups are {', '.join(sorted(groups))}"
            )


def explain(error: ValidationError) -> InvalidInputError:
    """``error`` for a person: one line per field, and no value, since it may be a secret."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    fields = [".".join(str(part) for part in problem["loc"]) for problem in problems]
    lines = [
        f"  {field or 'settings'}: {problem['msg'].removeprefix('Value error, ')}"
        for field, problem in zip(fields, problems, strict=True)
    ]
    hint = "a.b is b in the table [a] of the TOML file, and DRPO_A__B in the environment"
    message = "\n".join(["the configuration cannot be used:", *lines, f"  ({hint})"])
    return InvalidInputError(message, param=fields[0] or None)


def simulated_world(backend: str) -> JsonObject:
    """What runs without any configuration: one simulated backend with this name, no key, no network."""
    critic: JsonValue = {"backend": backend, "model": "simulated-critic"}
    targets: JsonObject = {
        name: {"backend": backend, "model": name, "api": api}
        for name, api in (
            ("simulated-small", "chat"),
            ("simulated-chat", "chat"),
            ("simulated-base", "completions"),
        )
    }
    return {
        "backends": {backend: {"kind": "simulated"}},
        "targets": targets,
        "embedders": {"simulated-embedder": {"backend": backend, "model": "simulated-embedder"}},
        "roles": {"proposer": critic, "selector": critic, "judge": critic},
    }
