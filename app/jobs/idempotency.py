"""``Idempotency-Key``: a request that is sent again, because its answer was lost, makes no second job."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Header, Response, status

T = TypeVar("T")

REPEATED_HEADER: Final = "x-drpo-idempotent-replay"
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="A name for this request. Sent again with the same body it makes no second job; with "
        "another body it is refused (422). It is forgotten when the job is deleted.",
    ),
]
REPEATED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "An earlier request with the same Idempotency-Key has made this job.",
        "headers": {REPEATED_HEADER: {"schema": {"type": "string", "enum": ["true"]}}},
    }
}


@dataclass(frozen=True, slots=True)
class Shown(Generic[T]):
    """A job as the API shows it; ``repeated`` where this request has not made it."""

    job: T
    repeated: bool


def show_made(made: Shown[T], response: Response) -> T:
    """The job; ``response`` says whether this request has made it."""
    if made.repeated:
        response.status_code = status.HTTP_200_OK
        response.headers[REPEATED_HEADER] = "true"
    return made.job
