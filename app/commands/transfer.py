"""``drpo export`` and ``import``: prompt versions as files of ours and of other programs."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
import yaml

from app.commands.connection import ask_service
from app.commands.invocation import ConfigOption, JsonOption, KeyOption, UrlOption, out
from app.commands.terminal import plain, write
from app.commands.versions import ModelArgument, versions_path
from optimizer.errors import InvalidInputError

_PROMPTFOO_CONFIG: Final = "promptfooconfig.json"
_FILE: Final = "file://"


class Format(StrEnum):
    """What a file is written in."""

    BUNDLE = "bundle"
    OPENAI = "openai"
    DSPY = "dspy"
    PROMPTFOO = "promptfoo"


FormatOption = Annotated[Format, typer.Option("--format", help="Of the file")]


def export(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: ModelArgument,
    version: Annotated[str, typer.Argument(help="A version's id, number or label")] = "production",
    wanted: FormatOption = Format.BUNDLE,
    output: Annotated[
        Path | None, typer.Option(help="Where to write it, for promptfoo a folder; default: stdout")
    ] = None,
    every_example: Annotated[  # noqa: FBT002
        bool, typer.Option("--all-examples", help="Not only as many as are shown with a request")
    ] = False,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Write VERSION of MODEL to a file: a bundle, or in the form of another program."""
    path = f"{versions_path(model)}/versions/{quote(version, safe='')}/export"
    examples = "all" if every_example else "shown"
    found = ask_service(
        lambda client: client.get(path, format=wanted.value, examples=examples), config, url, api_key_file
    )
    if output is not None:
        _write(found["content"], wanted, output)
    if as_json:
        out().print_json(json.dumps(found))
    elif output is None:
        write(out(), json.dumps(found["content"], indent=2))
    else:
        out().print(plain(f"{found['version']} is in {output}"), soft_wrap=True)


def import_prompt(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: ModelArgument,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="What to read")],
    given: FormatOption = Format.BUNDLE,
    name: Annotated[str | None, typer.Option(help="Kept with the version")] = None,
    note: Annotated[str | None, typer.Option(help="Kept with the version")] = None,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Store what FILE holds as a version of MODEL; no label moves."""
    body = {"format": given.value, "content": _read(file, given), "name": name, "note": note}
    made = ask_service(
        lambda client: client.post(f"{versions_path(model)}/import", body), config, url, api_key_file
    )
    if as_json:
        out().print_json(json.dumps(made))
        return
    out().print(plain(f"{made['id']} is version {made['number']} of {model}"), soft_wrap=True)
    for left in made["provenance"]["left_out"]:
        out().print(plain(f"left out: {left}", style="yellow"), soft_wrap=True)


def _write(content: dict[str, Any], wanted: Format, output: Path) -> None:
    try:
        if wanted is not Format.PROMPTFOO:
            output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            return
        output.mkdir(parents=True, exist_ok=True)
        for name, part in {_PROMPTFOO_CONFIG: content["config"], **content["files"]}.items():
            (output / Path(name).name).write_text(json.dumps(part, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"{output} cannot be written: {error.strerror}", param="output") from error


def _read(file: Path, given: Format) -> Any:
    """What ``file`` holds; of a configuration of promptfoo the files that its prompts name, too."""
    content = _parse(file)
    if given is not Format.PROMPTFOO:
        return content
    prompts = content.get("prompts") if isinstance(content, dict) else None
    listed = prompts if isinstance(prompts, list) else [prompts]
    raw = [item.get("raw", item.get("id")) if isinstance(item, dict) else item for item in listed]
    names = [text.removeprefix(_FILE) for text in raw if isinstance(text, str) and text.startswith(_FILE)]
    return {"config": content, "files": {name: _beside(file, name) for name in names}}


def _beside(config: Path, name: str) -> Any:
    folder = config.resolve().parent
    place = (folder / name).resolve()
    if not place.is_relative_to(folder) or not place.is_file():
        raise InvalidInputError(f"{config} names {name}, which is no file beside it", param="file")
    return _parse(place) if place.suffix in {".json", ".yaml", ".yml"} else place.read_text(encoding="utf-8")


def _parse(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
        return yaml.safe_load(text) if file.suffix in {".yaml", ".yml"} else json.loads(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise InvalidInputError(f"{file} cannot be read: {error}", param="file") from error
