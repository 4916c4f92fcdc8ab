import pytest

from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    DrpoError,
    InvalidInputError,
    MalformedReplyError,
    MalformedResponseError,
    MisconfiguredError,
    ModelError,
    RateLimitedError,
    RequestRefusedError,
    TemplateError,
)


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (InvalidInputError, {DrpoError}),
        (TemplateError, {DrpoError}),
        (MalformedReplyError, {DrpoError}),
        (BudgetExceededError, {DrpoError}),
        (ModelError, {DrpoError}),
        (RateLimitedError, {DrpoError, ModelError}),
        (BackendUnavailableError, {DrpoError, ModelError}),
        (MalformedResponseError, {DrpoError, ModelError}),
        (RequestRefusedError, {DrpoError, ModelError}),
        (MisconfiguredError, {DrpoError, ModelError, RequestRefusedError}),
    ],
)
def test_every_error_stands_in_its_place_in_the_tree(
    kind: type[DrpoError], parents: set[type[DrpoError]]
) -> None:
    ours = {base for base in kind.__mro__[1:] if issubclass(base, DrpoError)}
    assert ours == parents


def test_a_model_error_says_which_backend_and_which_status() -> None:
    error = MisconfiguredError("wrong key", backend="local", status=401)
    assert (str(error), error.backend, error.status) == ("wrong key", "local", 401)
    assert BackendUnavailableError("gone", backend="local").status is None


def test_a_rate_limit_says_how_long_to_wait() -> None:
    error = RateLimitedError("slow down", backend="local", retry_after=1.5)
    assert (error.backend, error.status, error.retry_after) == ("local", 429, 1.5)
    assert RateLimitedError("slow down", backend="local").retry_after is None


def test_an_input_error_names_the_field() -> None:
    assert InvalidInputError("too few", param="queries").param == "queries"
    assert InvalidInputError("too few").param is None


def test_a_budget_error_names_the_limit() -> None:
    error = BudgetExceededError("tokens")
    assert error.limit == "tokens"
    assert str(error) == "the budget of tokens does not allow another call"
