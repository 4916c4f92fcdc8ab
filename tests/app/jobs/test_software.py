"""What a version of the program calls itself."""

import re

from app.jobs.software import SPEC_VERSION, this_software
from app.version import VERSION
from tests.app.jobs.service import JobService


def test_it_is_named_by_its_version_and_its_texts() -> None:
    assert re.fullmatch(rf"{re.escape(VERSION)}\+[0-9a-f]{{12}}", this_software().name)


async def test_a_job_says_how_its_spec_is_read_and_who_works_on_it(service: JobService) -> None:
    job = await service.start(held_out=0)
    record = await service.resources.optimizations.get(job)
    assert record.spec_version == 1 < SPEC_VERSION
    await service.finished(job)
    record = await service.resources.optimizations.get(job)
    assert record.software == this_software().name
    assert record.owner == service.resources.runner.owner
