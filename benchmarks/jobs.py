"""What jobs cost and how fast they are, in one run: overhead, throughput, takeover, growth of the database.

``python -m benchmarks.jobs`` takes a quarter of an hour; ``--quick`` is a first look. Models are simulated.
"""

import argparse
import os

from app.server import run
from benchmarks import job_takeover, ledger_size
from benchmarks.job_overhead import report_overhead
from benchmarks.job_throughput import report_throughput
from tests.fixtures.database import PostgresDatabases
from tests.fixtures.postgres import postgres_server


async def _growth() -> None:
    """Growth for 1,000 calls, on SQLite and on PostgreSQL."""
    await ledger_size.measure_sqlite()
    with postgres_server() as server:
        databases = PostgresDatabases(server)
        try:
            await ledger_size.measure(databases.create())
        finally:
            databases.drop_all()


async def report(*, quick: bool) -> None:
    """Measure and print everything."""
    before = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load before the run {before:.1f}; models and providers are simulated")
    await report_overhead(rounds=1 if quick else 5, depth=6 if quick else 20)
    await report_throughput(jobs=50 if quick else 1000, workers=(1, 2) if quick else (1, 2, 4))
    await job_takeover.compare(1 if quick else 3)
    await _growth()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller measurements")
    run(report(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
