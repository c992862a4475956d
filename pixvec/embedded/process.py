"""Children that cannot outlive their parent."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


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
        if _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
            os._exit(126)
        # The parent may have gone before the setting took hold.
        if os.getppid() != parent:
            os._exit(127)

    return prepare_child


def follow_parent() -> None:
    """Die with the parent from now on: for a process that was started by a library."""
    # In a container the parent may well be process 1: only a change of parent says that it has gone.
    parent = os.getppid()
    if _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0 or os.getppid() != parent:
        os._exit(127)
