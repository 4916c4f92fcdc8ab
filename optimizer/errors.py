"""Everything that can go wrong, as one tree.

DrpoError
├── InvalidInputError        what the user gave cannot be used; the message says what to change
├── TemplateError            a template asks for what it was not given, or was given unquoted text
├── MalformedReplyError      a model's text could not be read as what was asked for
├── BudgetExceededError      the next call does not fit into the budget
└── ModelError               a call to a backend failed
    ├── RateLimitedError         429; carries ``retry_after``
    ├── BackendUnavailableError  connection, time-out or 5xx; worth another try
    ├── MalformedResponseError   the backend's body is not the protocol; worth another try
    └── RequestRefusedError      4xx: this request will not work, others may
        └── MisconfiguredError       wrong key, missing model: no request will work
            └── QuotaExhaustedError      the account is used up: none will before it is filled

``MalformedReplyError`` and ``RequestRefusedError`` concern one item and become values of the search (an
unscored evaluation, a missing proposal). The others end a run.
"""


class DrpoError(Exception):
    """Root of all errors that this project raises on purpose."""


class InvalidInputError(DrpoError):
    """What the user gave cannot be used.

    Attributes:
        param: dotted name of the field at fault, or None.
    """

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class TemplateError(DrpoError):
    """A template's variables and its text do not agree, or a value was not quoted."""


class MalformedReplyError(DrpoError):
    """A model's reply could not be read as what was asked for."""


class BudgetExceededError(DrpoError):
    """The next call does not fit into what is left.

    Attributes:
        limit: which limit stands in the way: ``calls``, ``tokens``, ``cost`` or ``seconds``.
    """

    def __init__(self, limit: str) -> None:
        super().__init__(f"the budget of {limit} does not allow another call")
        self.limit = limit


class ModelError(DrpoError):
    """A call to a backend failed.

    Attributes:
        backend: the backend's configured name.
        status: HTTP status, or None where there was no response.
    """

    def __init__(self, message: str, *, backend: str, status: int | None = None) -> None:
        super().__init__(message)
        self.backend = backend
        self.status = status


class RateLimitedError(ModelError):
    """The backend asks for patience.

    Attributes:
        retry_after: seconds the backend asks to wait, or None where it does not say.
    """

    def __init__(
        self, message: str, *, backend: str, status: int = 429, retry_after: float | None = None
    ) -> None:
        super().__init__(message, backend=backend, status=status)
        self.retry_after = retry_after


class BackendUnavailableError(ModelError):
    """No answer: connection refused or lost, time-out, or a 5xx.

    Attributes:
        retry_after: seconds after which another try makes sense, or None where nobody knows.
    """

    def __init__(
        self, message: str, *, backend: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, backend=backend, status=status)
        self.retry_after = retry_after


class MalformedResponseError(ModelError):
    """An answer that is not the OpenAI protocol."""


class RequestRefusedError(ModelError):
    """A 4xx that concerns this request: repeating it is pointless, others may work."""


class MisconfiguredError(RequestRefusedError):
    """Wrong key, missing permission or unknown model: no request of this role can work."""


class QuotaExhaustedError(MisconfiguredError):
    """The backend's account has nothing left: no request works before somebody fills it."""
