"""Children that cannot outlive their parent."""

import os
import signal
from collections.abc import Callable

from pixvec.lifeline import tie_to_parent

# gRPC starts its threads again in a forked child, whose files are closed by then, and now and then aborts it before it
# becomes another program. It reads this when it is loaded: whatever starts processes loads this module first.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def die_with_parent(
    death_signal: signal.Signals = signal.SIGKILL, identity: tuple[int, int] | None = None
) -> Callable[[], None]:
    """Return a `preexec_fn` for subprocess.Popen: the child becomes `identity` (uid, gid) and is sent `death_signal`
    when the thread that starts it ends, however it ends. Start such children from a thread that lives as long as the
    parent."""
    parent = os.getpid()

    def prepare_child() -> None:
        if identity is not None:
            uid, gid = identity
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        # Only after setuid: a change of user clears the setting.
        if not tie_to_parent(parent, death_signal):
            os._exit(127)

    return prepare_child
