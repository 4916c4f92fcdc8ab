"""What the aligned endpoint adds to a request, beside pass-throughs that do nothing, in one run.

Requests of a kilobyte over loopback to an upstream that answers at once; ours resolves a prompt, retrieves
three examples, checks a stored key, writes usage and metrics. All take turns, round by round, and medians are
shown.

``--peer NAME=COMMAND`` measures a published gateway that is installed here as well, by whole answers that
come at once; ``{port}`` and ``{upstream}`` in the command are filled in. ``--peer-header
'NAME=x-name: value'`` gives its requests a header.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

import uvloop

from benchmarks.gateway_load import Figures, leave_streams, load
from benchmarks.gateway_peers import PEERS
from benchmarks.gateway_services import DIRECT, OURS, InstalledGateway, Place, open_places
from benchmarks.gateway_upstream import PACE_SECONDS, PACED_CHUNKS

STREAMS = 32
_LATENCY_AT = (1, 32)
_MANY = 64
_SECONDS_PER_LOAD = 2.0
_FEWEST, _MOST = 64, 20_000
_STREAM_SECONDS = PACED_CHUNKS * PACE_SECONDS
_STREAMS_EACH = 8
"""Streams that follow each other: of too few the worst one would pass for the p99."""
_LONG_REQUESTS, _LONG_STREAMS = 20_000, 2_000
_MEGABYTE = 1_000_000

_CPU = "CPU of the process, us a request at {}"

Measured = dict[str, dict[str, list[float]]]


async def measure_round(places: Mapping[str, Place], rates: dict[str, float], measured: Measured) -> None:
    """One round of all loads, each on all places in turn; ``rates`` are their requests a second, roughly."""
    for connections in (*_LATENCY_AT, _MANY):
        for name, place in places.items():
            count = round(min(_MOST, max(_FEWEST, rates[name] * _SECONDS_PER_LOAD)))
            used = place.cpu_seconds()
            figures = await _load(place, "fast", connections=connections, requests=count)
            rates[name] = count / figures.seconds
            _note(measured[name], _CPU.format(connections), 1e6 * (place.cpu_seconds() - used) / count)
            _note(measured[name], f"req/s at {connections}", rates[name])
            _note(measured[name], f"p50 ms at {connections}", 1e3 * statistics.median(figures.latencies))
            _note(measured[name], f"p99 ms at {connections}", 1e3 * _p99(figures.latencies))
    others = {name: place for name, place in places.items() if not place.only_whole}
    for name, place in others.items():
        figures = await _load(place, "slow", connections=STREAMS, requests=STREAMS * 30)
        _note(measured[name], "req/s at 32, upstream 50 ms", STREAMS * 30 / figures.seconds)
    for name, place in others.items():
        paced = place.request("paced", stream=True)
        figures = await load(
            place.url,
            paced,
            connections=STREAMS,
            requests=STREAMS * _STREAMS_EACH,
            apart_seconds=_STREAM_SECONDS / STREAMS,
        )
        _note(measured[name], "first token p50 ms", 1e3 * statistics.median(figures.first_tokens))
        _note(measured[name], "first token p99 ms", 1e3 * _p99(figures.first_tokens))
        _note(measured[name], "chunk p50 ms", 1e3 * statistics.median(figures.delays))
        _note(measured[name], "chunk p99 ms", 1e3 * _p99(figures.delays))
    for name, place in others.items():
        flood = place.request("flood", stream=True)
        figures = await load(place.url, flood, connections=STREAMS, requests=STREAMS)
        _note(measured[name], "chunks/s, 32 floods", figures.chunks / figures.seconds)


async def measure_memory(place: Place) -> tuple[float, float]:
    """Megabytes of the service before and after a long load of requests and of streams that are left."""
    request = place.request("fast", stream=False)
    endless = place.request("endless", stream=True)
    await leave_streams(place.url, endless, at_once=STREAMS, streams=STREAMS * 4)
    await load(place.url, request, connections=_MANY, requests=2_000)
    before = place.memory_bytes()
    await load(place.url, request, connections=_MANY, requests=_LONG_REQUESTS)
    await leave_streams(place.url, endless, at_once=STREAMS, streams=_LONG_STREAMS)
    return before / _MEGABYTE, place.memory_bytes() / _MEGABYTE


async def _load(place: Place, model: str, *, connections: int, requests: int) -> Figures:
    request = place.request(model, stream=False)
    return await load(place.url, request, connections=connections, requests=requests)


def _note(figures: dict[str, list[float]], name: str, value: float) -> None:
    figures[name].append(value)


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def report(measured: Measured) -> None:
    """Print medians, and what the targets speak of."""
    medians = {
        name: {what: statistics.median(values) for what, values in figures.items()}
        for name, figures in measured.items()
    }
    names = list(medians)
    print("| median | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for what in medians[OURS]:
        cells = (f"{medians[name][what]:,.2f}" if what in medians[name] else "" for name in names)
        print(f"| {what} | " + " | ".join(cells) + " |")
    ours, direct = medians[OURS], medians[DIRECT]
    for title, what in (
        ("added at 1 connection", "{} ms at 1"),
        ("added at 32 connections", "{} ms at 32"),
        ("added to a first token, 32 streams", "first token {} ms"),
        ("added to a chunk, 32 streams", "chunk {} ms"),
    ):
        added = [ours[what.format(at)] - direct[what.format(at)] for at in ("p50", "p99")]
        print(f"{title}: p50 {added[0]:.2f} ms, p99 {added[1]:.2f} ms")
    share = ours["req/s at 32, upstream 50 ms"] / direct["req/s at 32, upstream 50 ms"]
    print(f"share of the ideal with an upstream of 50 ms: {share:.2f}")
    for name in names:
        if name not in {OURS, DIRECT}:
            rate = ours[f"req/s at {_MANY}"] / medians[name][f"req/s at {_MANY}"]
            print(f"requests/s at {_MANY}: {rate:.2f} x {name}")
            cpu = ours[_CPU.format(_MANY)] / medians[name][_CPU.format(_MANY)]
            print(f"CPU a request at {_MANY}, which a busy machine blurs less: {cpu:.2f} x {name}")


async def main(rounds: int, installed: Mapping[str, InstalledGateway], *, memory: bool) -> None:
    """Measure, and print."""
    async with open_places(installed) as places:
        measured: Measured = {name: defaultdict(list) for name in places}
        rates = dict.fromkeys(places, 200.0)
        await measure_round(places, rates, {name: defaultdict(list) for name in places})
        for _ in range(rounds):
            await measure_round(places, rates, measured)
        report(measured)
        if memory:
            before, after = await measure_memory(places[OURS])
            print(
                f"memory of drpo: {before:.1f} MB, after {_LONG_REQUESTS:,} requests and {_LONG_STREAMS:,} "
                f"streams that were left {after:.1f} MB ({after - before:+.1f})"
            )


def installed_gateways(peers: Sequence[str], headers: Sequence[str]) -> Mapping[str, InstalledGateway]:
    """Those that the options name.

    Raises:
        ValueError: an option is not ``NAME=...``, or its name is another place's or nobody's.
    """
    commands: dict[str, str] = {}
    for option in peers:
        name, command = _named(option)
        if name in {OURS, DIRECT, *PEERS, *commands}:
            raise ValueError(f"there is a {name} already")
        commands[name] = command
    of: dict[str, list[str]] = {name: [] for name in commands}
    for option in headers:
        name, header = _named(option)
        if name not in of:
            raise ValueError(f"a header for {name}, which is no --peer")
        of[name].append(header)
    return {name: InstalledGateway(command=commands[name], headers=tuple(of[name])) for name in commands}


def _named(option: str) -> tuple[str, str]:
    name, _, rest = option.partition("=")
    if not name or not rest:
        raise ValueError(f"not NAME=...: {option}")
    return name, rest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--peer-header", action="append", default=[], metavar="NAME=HEADER")
    options = parser.parse_args()
    try:
        installed = installed_gateways(options.peer, options.peer_header)
    except ValueError as error:
        parser.error(str(error))
    uvloop.run(main(options.rounds, installed, memory=not options.no_memory))
