"""Scripts and styles of the dashboard: our own, and Plotly's from its installed package.

Their addresses hold what they are (a hash of ours, Plotly's version), so browsers keep them for good.
"""

import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from app.errors import not_found

ASSETS: Final = "/dashboard/assets"
_FOREVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_KINDS: Final = (".css", ".js", ".svg")
_PLOTLY: Final = "plotly"
_INJECTED: Final = re.compile(
    rb'getElementById\("([0-9a-f]{64})"\)\)\{var \w+=document\.createElement\("style"\)'
)

router = APIRouter(prefix=ASSETS, include_in_schema=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnAssets:
    """Our scripts and styles.

    Attributes:
        version: changes with any of them.
        contents: by name.
    """

    version: str
    contents: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChartScript:
    """Plotly's script.

    Attributes:
        place: where it is installed.
        version: of the Python package.
        injected: ids of style sheets that it adds to a page, unless an element with that id is there already:
            the page's content security policy lets nobody add any.
    """

    place: Path
    version: str
    injected: tuple[str, ...]


@cache
def own_assets() -> OwnAssets:
    """Our scripts and styles, read once."""
    folder = resources.files("app.dashboard").joinpath("static")
    found = sorted(
        (item for item in folder.iterdir() if item.name.endswith(_KINDS)), key=lambda item: item.name
    )
    contents = {item.name: item.read_bytes() for item in found}
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return OwnAssets(version=digest.hexdigest()[:16], contents=contents)


@cache
def chart_script() -> ChartScript:
    """Plotly's script, found without loading its Python package."""
    package = metadata.distribution(_PLOTLY)
    place = Path(str(package.locate_file("plotly/package_data/plotly.min.js")))
    injected = tuple(found.decode() for found in _INJECTED.findall(place.read_bytes()))
    return ChartScript(place=place, version=package.version, injected=injected)


def asset_url(name: str) -> str:
    """The address of one of our scripts or styles."""
    return f"{ASSETS}/{own_assets().version}/{name}"


def chart_url() -> str:
    """The address of Plotly's script."""
    return f"{ASSETS}/plotly/{chart_script().version}.js"


@router.get("/plotly/{version}.js")
async def plotly_script(version: str) -> FileResponse:
    """Plotly's script as it is installed."""
    script = chart_script()
    if version != script.version:
        raise not_found(f"there is no Plotly {version}: load the page again")
    return FileResponse(script.place, media_type="text/javascript", headers=_FOREVER)


@router.get("/{version}/{name}")
async def own_asset(version: str, name: str) -> Response:
    """One of our scripts or styles.

    A page of another version of the service, which an upgrade replaces right now, gets what is here: for this
    once, and so it is not kept.
    """
    assets = own_assets()
    content = assets.contents.get(name)
    if content is None:
        raise not_found(f"the dashboard has no {name!r}: load the page again")
    headers = _FOREVER if version == assets.version else {"Cache-Control": "no-store"}
    return Response(content, media_type=mimetypes.guess_type(name)[0], headers=headers)
