"""Token counts of streams: asked for where the caller does not, so that none goes uncounted."""

from app.errors import invalid_request
from app.llm.capabilities import Capabilities
from optimizer.types import JsonObject


def ask_for_usage(body: JsonObject, *, can: Capabilities | None) -> bool:
    """Make the streamed request ``body`` end with token counts where the backend is known to give them.

    Returns:
        Whether the caller did not ask for them, so that they are to be kept from it.

    Raises:
        ApiError: 400, ``stream_options`` is no object.
    """
    options = body.get("stream_options")
    if not isinstance(options, dict | None):
        raise invalid_request("stream_options has to be an object", param="stream_options")
    if (options or {}).get("include_usage") or can is None or not can.usage_in_stream:
        return False
    body["stream_options"] = {**(options or {}), "include_usage": True}
    return True
