"""Reading the public API in process, as whoever looks at a page: same scopes, same errors, no socket."""

from collections.abc import Mapping
from typing import Final, TypeVar

import httpx
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.types import ASGIApp

from optimizer.types import JsonObject

T = TypeVar("T", bound=BaseModel)

_CREDENTIALS: Final = ("authorization", "cookie", "host", "origin", "sec-fetch-site")
_UNREADY: Final = 503
_OBJECT: Final = "the API has answered with something that is no object"


class ApiRefusedError(Exception):
    """The API has refused a page's question.

    Attributes:
        status: the HTTP status.
        code / param: as in the error envelope.
    """

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


class ApiReader:
    """Asks the API what a page shows, with the credentials of the page's own request."""

    def __init__(self, app: ASGIApp, headers: Headers) -> None:
        """A reader of ``app`` for the request with these ``headers``."""
        self._transport = httpx.ASGITransport(app)
        self._headers = {name: headers[name] for name in _CREDENTIALS if name in headers}

    async def get(
        self, path: str, params: Mapping[str, str | int | None] | None = None, *, unready: bool = False
    ) -> JsonObject:
        """The object at ``path``; parameters that are None are left out.

        Args:
            path: of the API.
            params: of the query.
            unready: whether an answer with status 503 is one, too, as that of a probe is.

        Raises:
            ApiRefusedError: the API's answer is an error.
        """
        response = await self._ask(path, params, unready=unready)
        found = response.json()
        if not isinstance(found, dict):
            raise TypeError(_OBJECT)
        return found

    async def read(
        self, path: str, model: type[T], params: Mapping[str, str | int | None] | None = None
    ) -> T:
        """As ``get``, with the fields that a page computes with as a ``model``.

        Raises:
            ApiRefusedError: the API's answer is an error.
        """
        return model.model_validate_json((await self._ask(path, params)).content)

    async def _ask(
        self, path: str, params: Mapping[str, str | int | None] | None, *, unready: bool = False
    ) -> httpx.Response:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        url = httpx.URL("http://dashboard").copy_with(path=path, params=given)
        request = httpx.Request("GET", url, headers=self._headers)
        response = await self._transport.handle_async_request(request)
        await response.aread()
        if response.is_error and not (unready and response.status_code == _UNREADY):
            raise _refusal(response)
        return response


def _refusal(response: httpx.Response) -> ApiRefusedError:
    try:
        error = response.json()["error"]
        message, code, param = str(error["message"]), error["code"], error["param"]
    except (ValueError, KeyError, TypeError):
        return ApiRefusedError(response.status_code, "the API has given no reason")
    return ApiRefusedError(response.status_code, message, code=code, param=param)
