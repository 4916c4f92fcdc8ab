"""The service with jobs that run, on a fresh SQLite store."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.jobs.service import JobService, open_service


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[JobService]:
    """The application in process."""
    async with open_service(sqlite_url) as opened:
        yield opened


@pytest.fixture
def other_sqlite_url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    """A second fresh store, for an undisturbed run to compare with."""
    path = tmp_path / "other.db"
    shutil.copyfile(migrated_sqlite_file, path)
    return f"sqlite:///{path}"
