"""Each contract suite runs over every implementation."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from pixvec.catalogue.memory import in_memory
from pixvec.catalogue.postgres import connect
from tests.contract.catalogues import Bench


class _Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        # Postgres' clock moves between any two calls; so does this one.
        self.now += 1e-4
        return self.now

    def pass_an_hour(self) -> None:
        self.now += 3600


def _memory_bench() -> Bench:
    clock = _Clock()
    return Bench(in_memory(clock), clock.pass_an_hour)


def _postgres_bench(database_url: str) -> Bench:
    def expire_leases() -> None:
        engine = create_engine(database_url)
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE job_chunks SET lease_expires = now() - interval '1s' WHERE lease_expires IS NOT NULL")
            )
            for table, moments in (
                ("job_chunks", ("published_at", "ended_at")),
                ("jobs", ("created_at", "active_at", "closed_at", "ended_at", "lease_expires")),
            ):
                an_hour_ago = ", ".join(f"{moment} = {moment} - interval '1h'" for moment in moments)
                connection.execute(text(f"UPDATE {table} SET {an_hour_ago}"))
            connection.execute(text("UPDATE searchers SET lease_expires = now() - interval '1s'"))
        engine.dispose()

    return Bench(connect(database_url), expire_leases)


@pytest.fixture(params=["memory", "postgres"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    memory = request.param == "memory"
    made = _memory_bench() if memory else _postgres_bench(request.getfixturevalue("database_url"))
    yield made
    made.catalogue.close()
