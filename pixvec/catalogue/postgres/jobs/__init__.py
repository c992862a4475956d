"""Jobs, their chunks and their items in Postgres. One module a concern, in the order of an item's life."""

from pixvec.catalogue.postgres.jobs.acceptance import Acceptance
from pixvec.catalogue.postgres.jobs.leases import Leases
from pixvec.catalogue.postgres.jobs.lifecycle import Lifecycle
from pixvec.catalogue.postgres.jobs.reports import Reports
from pixvec.catalogue.postgres.jobs.upkeep import Upkeep


class PostgresJobStore(Lifecycle, Acceptance, Leases, Reports, Upkeep):
    """JobStore in Postgres.

    Transactions lock in one order: job, chunk, images by id, shard counter. Whoever ends an item holds its chunk, and
    writes down the end of the job in a transaction of its own.
    """
