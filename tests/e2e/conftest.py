"""A second store to compare with."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def other_sqlite_url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    """A second fresh SQLite store."""
    path = tmp_path / "other.db"
    shutil.copyfile(migrated_sqlite_file, path)
    return f"sqlite:///{path}"
