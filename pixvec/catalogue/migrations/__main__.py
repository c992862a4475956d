"""Bring the database at PIXVEC_DATABASE_URL to this program's schema revision."""

import os
import sys

from pixvec.catalogue.migrations import head_revision, upgrade
from pixvec.errors import PixvecError


def main() -> int:
    """Run the migrations; return the exit status."""
    database_url = os.environ.get("PIXVEC_DATABASE_URL", "")
    if not database_url:
        sys.stderr.write("set PIXVEC_DATABASE_URL, such as postgresql+psycopg://user@host/pixvec\n")
        return 2
    try:
        upgrade(database_url)
    except PixvecError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stdout.write(f"the database is at schema revision {head_revision()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
