"""Sessions of ours whose client stands still inside a transaction, with rows locked.

PostgreSQL ends a session that is *idle* in a transaction. One whose client was frozen between the statements
of a pipeline (as a batch of rows is written) counts as active, and would keep its locks for as long as the
client is frozen.
"""

from typing import Final

from sqlalchemy import Connection, bindparam, text

STUCK_SECONDS: Final = 5.0
_END: Final = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
    " AND xact_start IS NOT NULL AND wait_event = 'ClientRead'"
    " AND state_change < clock_timestamp() - make_interval(secs => :seconds)"
).bindparams(bindparam("seconds"))


def end_stuck_sessions(connection: Connection, *, seconds: float = STUCK_SECONDS) -> int:
    """End those who have waited for their client for ``seconds`` in a transaction; on SQLite there are none.

    Returns:
        How many.
    """
    if connection.dialect.name != "postgresql":
        return 0
    return int(connection.scalar(_END, {"seconds": seconds}) or 0)
