from starlette.types import Scope

from app.request_headers import headers_of


def test_of_several_headers_of_a_name_the_first_counts_and_they_are_read_once() -> None:
    scope: Scope = {"type": "http", "headers": [(b"a", b"1"), (b"b", b"\xe9"), (b"a", b"2")]}
    found = headers_of(scope)
    assert found == {"a": "1", "b": "é"}
    assert headers_of(scope) is found
