"""What it takes to compress an answer for the call ledger: ours, and zlib as it is by default.

400 answers of about 1 KB of words in random order, in turn, right after one another and with a rest of 20 ms
before each, as in a job that waits for its models: what has cooled down takes several times as long.
``python -m benchmarks.ledger_compression`` prints medians of the thread's CPU and means of the bytes.
"""

import statistics
import time
import zlib
from collections.abc import Callable

from benchmarks.ledger_size import Texts
from store.compression import _DICTIONARY, compress
from store.json_values import quick_json

_ANSWERS = 400


def by_zlib(text: str) -> bytes:
    """``text`` as zlib compresses it with the same dictionary."""
    compressor = zlib.compressobj(zdict=_DICTIONARY)
    return compressor.compress(text.encode()) + compressor.flush()


def measured(work: Callable[[str], bytes], text: str) -> tuple[float, int]:
    """Microseconds of CPU, and bytes."""
    began = time.thread_time()
    size = len(work(text))
    return (time.thread_time() - began) * 1e6, size


def main() -> None:
    """Measure and print."""
    texts = Texts(1)
    answers = [
        quick_json(
            {
                "completions": [{"text": texts.draw(), "finish_reason": "stop", "logprobs": None}],
                "usage": {"prompt_tokens": 900, "completion_tokens": 220},
                "model": "m",
                "seconds": 1.25,
            }
        )
        for _ in range(_ANSWERS)
    ]
    for rest in (0.0, 0.02):
        found: dict[str, list[tuple[float, int]]] = {"ledger": [], "zlib": []}
        for place, answer in enumerate(answers):
            turn = [("ledger", compress), ("zlib", by_zlib)]
            for name, work in turn[:: 1 if place % 2 else -1]:
                time.sleep(rest)
                found[name].append(measured(work, answer))
        for name, values in found.items():
            cpu, size = (
                statistics.median(cpu for cpu, _ in values),
                statistics.mean(size for _, size in values),
            )
            print(f"rest of {rest * 1000:2.0f} ms, {name:6}: {cpu:4.0f} us, {size:.0f} bytes")


if __name__ == "__main__":
    main()
