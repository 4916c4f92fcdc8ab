"""The database's clock: leases and time stamps never depend on the clock of the machine that writes them."""

from typing import Any

from sqlalchemy import Double, Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class DatabaseNow(FunctionElement[float]):
    """Seconds since 1970 (UTC) by the database's clock, as a float; it moves on within a transaction."""

    inherit_cache = True
    type: Float[float] = Double()


def db_now() -> DatabaseNow:
    """The SQL expression for now."""
    return DatabaseNow()


@compiles(DatabaseNow, "sqlite")
def _on_sqlite(_element: DatabaseNow, _compiler: SQLCompiler, **_options: Any) -> str:
    # unixepoch('subsec') needs SQLite 3.42; 2440587.5 is the Julian day of the epoch
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(DatabaseNow, "postgresql")
def _on_postgresql(_element: DatabaseNow, _compiler: SQLCompiler, **_options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
