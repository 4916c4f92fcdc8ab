"""What is said about a URL of Redis that cannot be used."""

import pytest
from pydantic import SecretStr

from app.llm.limits.redis_exchange import RedisMeeting
from optimizer.errors import InvalidInputError


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret/x@localhost:6379",
        "redis://:s3cret#x@localhost:6379/0",
        "redis://localhost:s3cret",
        "s3cret://localhost",
        "redis://localhost:6379?db=s3cret",
        "redis://[:s3cret",
    ],
)
def test_nothing_of_a_url_that_cannot_be_read_is_repeated(url: str) -> None:
    with pytest.raises(InvalidInputError, match=r"redis\.url: .*password") as caught:
        RedisMeeting(SecretStr(url), prefix="test")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.param == "redis.url"
