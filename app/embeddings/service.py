"""From a request for embeddings to the call that it becomes."""

from app.access.principal import Principal
from app.chat.answers import AnswerReader, SameShape
from app.chat.calls import PreparedCall
from app.chat.fields import read_model, read_object
from app.chat.inputs import check_texts
from app.errors import invalid_request
from app.llm.registry import ModelRegistry


def prepare(content: bytes, models: ModelRegistry, principal: Principal) -> PreparedCall:
    """The call that answers the request in a body.

    Raises:
        ApiError: 400, with the field at fault; 404, no such embedding model that ``principal`` may ask.
    """
    body = read_object(content)
    name = read_model(body.get("model"))
    check_texts(body.get("input"), field="input")
    if body.get("stream"):
        raise invalid_request("embeddings are not streamed: leave stream out", param="stream")
    principal.check_model(name, models.embedder_names())
    upstream = models.embedder_passthrough(name)
    origin = upstream.origin
    return PreparedCall(
        upstream=upstream,
        path="embeddings",
        body={**body, "model": origin.model},
        reader=AnswerReader(model=name, backend=origin.backend, shape=SameShape(), embeds=True),
        model=name,
        backend=origin.backend,
        upstream_model=origin.model,
    )
