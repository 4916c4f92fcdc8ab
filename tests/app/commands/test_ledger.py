from app.commands.ledger import show_ledger
from app.commands.progress import describe_replay
from tests.app.commands.screen import new_console, text_of


def shown(**fields: object) -> str:
    console = new_console(width=120)
    ledger = {
        "calls": 12_345,
        "bytes": 23_456_789,
        "oldest_finished_at": 1_790_000_000.0,
        "dropped_optimizations": 2,
        "keep_days": 90.0,
        "max_bytes": 5_000_000_000,
        "vectors": {"count": 0, "bytes": 0, "keep_days": 365.0, "max_bytes": 1_000_000_000},
    }
    show_ledger(console, {**ledger, **fields})
    return text_of(console)


def test_size_age_and_bounds_are_shown() -> None:
    assert shown().splitlines() == [
        "12,345 calls on record, about 23.5 MB",
        "the oldest are of a job that ended at 2026-09-21 14:13 UTC",
        "kept for 90 days after the end of their job, up to 5,000 MB",
        "the calls of 2 jobs have been dropped",
    ]


def test_vectors_are_shown_where_there_are_any() -> None:
    vectors = {"count": 1234, "bytes": 2_500_000, "keep_days": 365.0, "max_bytes": None}
    assert shown(vectors=vectors).splitlines()[-2:] == [
        "1,234 vectors of texts, about 2.5 MB",
        "kept for 365 days after they were made, of any size",
    ]


def test_an_empty_ledger_without_bounds_says_so() -> None:
    nothing = dict.fromkeys(("calls", "bytes", "dropped_optimizations"), 0)
    told = shown(**nothing, **dict.fromkeys(("oldest_finished_at", "keep_days", "max_bytes")))
    assert told.splitlines() == ["0 calls on record, about 0.0 MB", "kept for ever, of any size"]


def test_a_replay_says_how_much_was_on_record() -> None:
    told = describe_replay({"answered": 49, "of": "opt_1", "share": 0.7, "note": "the rest is not known"})
    assert told == "49 calls answered from the record of opt_1 (70%), at no cost: the rest is not known"
