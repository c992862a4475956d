"""A disposable process that builds one index: when nothing else wants the processor, unless it is urgent. Started by
`builder_process`.

The order is one JSON argument; the answer is the seal of the file as one line of JSON on standard output.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

from pixvec.domain import IndexKind, Metric
from pixvec.index.building import write_index
from pixvec.index.manifest import settings_from_json
from pixvec.lifeline import follow_parent


def main() -> None:
    """Build, and say what was written. A full disk ends it with one line on standard error."""
    order = json.loads(sys.argv[1])
    follow_parent(order["parent"])
    if not order["is_urgent"]:
        # The scheduler gives it what others leave: a search that comes does not wait for its turn to end.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    settings = settings_from_json(order["settings"])
    kind, metric = IndexKind(order["kind"]), Metric(order["metric"])
    try:
        seal = write_index(Path(order["folder"]), kind, metric, settings, threads=order["threads"])
    except OSError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(dataclasses.asdict(seal)) + "\n")


if __name__ == "__main__":
    main()
