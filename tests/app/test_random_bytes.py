from app.random_bytes import RandomBytes


def test_no_byte_is_given_twice() -> None:
    source = RandomBytes()
    taken = [source.take(12) for _ in range(2000)]
    assert {len(piece) for piece in taken} == {12}
    assert len(set(taken)) == 2000


def test_a_whole_fetch_can_be_taken() -> None:
    source = RandomBytes()
    assert len(source.take(4096)) == len(source.take(4096)) == 4096
