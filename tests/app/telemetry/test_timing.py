import asyncio

import pytest

from app.telemetry.current import ActiveRequest, answering, current_request, note_model_request, timed
from app.telemetry.timing import Part, Timings, own_seconds, server_timing


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_every_moment_belongs_to_one_part_and_an_inner_part_interrupts() -> None:
    clock = Clock()
    timings = Timings(clock)
    clock.now += 1
    outer = timings.enter(Part.RETRIEVE)
    clock.now += 2
    inner = timings.enter(Part.STORE)
    clock.now += 4
    assert timings.enter(inner) is Part.STORE
    clock.now += 8
    timings.enter(outer)
    timings.enter(Part.UPSTREAM)
    clock.now += 16
    timings.enter(Part.CLIENT)
    clock.now += 32
    assert timings.parts() == {
        Part.RESOLVE: 1,
        Part.RETRIEVE: 10,
        Part.QUEUE: 0,
        Part.UPSTREAM: 16,
        Part.STORE: 4,
    }
    assert own_seconds(timings.parts()) == 15
    assert timings.elapsed() == 63


def test_the_header_has_the_parts_in_milliseconds() -> None:
    clock = Clock()
    timings = Timings(clock)
    clock.now += 0.00126
    told = server_timing(timings.parts())
    assert told == "resolve;dur=1.26, retrieve;dur=0.00, queue;dur=0.00, upstream;dur=0.00, store;dur=0.00"


async def test_time_is_noted_for_the_request_that_a_task_belongs_to() -> None:
    async def work(request: ActiveRequest, part: Part) -> None:
        with answering(request):
            async with asyncio.TaskGroup() as group:
                group.create_task(inside(part))

    async def inside(part: Part) -> None:
        with timed(part):
            await asyncio.sleep(0)

    first, second = ActiveRequest("a"), ActiveRequest("b")
    async with asyncio.TaskGroup() as group:
        group.create_task(work(first, Part.STORE))
        group.create_task(work(second, Part.UPSTREAM))
    assert first.timings.parts()[Part.STORE] > 0
    assert first.timings.parts()[Part.UPSTREAM] == 0
    assert second.timings.parts()[Part.UPSTREAM] > 0


def test_outside_of_a_request_nothing_is_noted() -> None:
    with timed(Part.STORE):
        note_model_request()
    assert current_request() is None


def test_a_failure_inside_ends_its_part() -> None:
    request = ActiveRequest("a")
    with answering(request):
        with pytest.raises(ValueError, match="no"), timed(Part.STORE):
            raise ValueError("no")
        assert request.timings.enter(Part.RESOLVE) is Part.RESOLVE
