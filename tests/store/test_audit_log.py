"""The audit log's newest entries are found by an index, however long the logs are."""

import pytest
from sqlalchemy import Engine, event

from store.connections import Database
from store.repositories.audit_log import AuditKind, AuditLogRepository, AuditPlace


@pytest.mark.parametrize("after", [None, AuditPlace(at=5.0, kind=AuditKind.LABEL, number=1)])
async def test_no_log_is_sorted_to_show_its_newest_entries(sqlite_url: str, after: AuditPlace | None) -> None:
    asked: list[tuple[str, tuple[float, ...]]] = []

    def note(_: object, __: object, statement: str, values: tuple[float, ...], *___: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, values))

    database = Database(sqlite_url)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        await AuditLogRepository(database).page(after=after, limit=50)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(asked) == 4
    async with database.read() as session:
        connection = await session.connection()
        for statement, values in asked:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            steps = [str(row["detail"]) for row in plan.mappings()]
            assert not [step for step in steps if "TEMP B-TREE" in step], (statement, steps)
    await database.close()
