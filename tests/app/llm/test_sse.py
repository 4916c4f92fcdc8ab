import itertools

from hypothesis import given
from hypothesis import strategies as st

from app.llm.sse import DONE, FrameSplitter, payload

lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])).map(str.strip)


@given(
    contents=st.lists(lines, max_size=6),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    comment=st.booleans(),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_frames_are_the_same_wherever_the_stream_is_cut(
    contents: list[str], line_end: bytes, comment: bool, cuts: list[int]
) -> None:
    stream = b""
    for content in contents:
        if comment:
            stream += b": ping" + line_end * 2
        stream += b"data: " + content.encode() + line_end * 2
    # A lone carriage return may be half a line end: what follows decides.
    stream += b"data: end" + line_end * 2 + b"data: [DONE]" + line_end * 2 + b":"
    splitter = FrameSplitter()
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    frames = [
        frame for start, end in itertools.pairwise(places) for frame in splitter.feed(stream[start:end])
    ]
    assert frames == [*(b"data: %b\n\n" % content.encode() for content in [*contents, "end"]), DONE]
    assert [payload(frame) for frame in frames[:-2]] == [content.encode() for content in contents]


def test_only_data_is_kept() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(b"event: x\nid: 1\ndata:one\ndata: two\n\n") == [b"data: one\ndata: two\n\n"]
    assert splitter.feed(b": comment\n\n\n\nretry: 3\n\n") == []
    assert payload(b"data: one\ndata: two\n\n") == b"one\ntwo"


def test_the_end_counts_without_its_blank_line_and_nothing_else_does() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(b"data: [DONE]\n") == []
    assert splitter.pending > 0
    assert splitter.finish() == [DONE]
    assert splitter.feed(b'data: {"half"') == []
    assert splitter.finish() == []
    assert splitter.pending == 0


def test_a_huge_frame_in_tiny_pieces_is_put_together_in_time_that_grows_with_its_length() -> None:
    frame = b"data: " + b"x" * 2_000_000 + b"\n\n"  # quadratic work would take minutes: the test's limit
    splitter = FrameSplitter()
    frames = [made for start in range(0, len(frame), 8) for made in splitter.feed(frame[start : start + 8])]
    assert frames == [frame]
    assert splitter.pending == 0
