"""A process that does not outlive the one that started it."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def tie_to_parent(parent: int, death_signal: signal.Signals = signal.SIGKILL) -> bool:
    """Have the kernel send `death_signal` to this process when the thread that started it ends, however it ends.

    Return False if that cannot be had, or if the process `parent`, which started this one, is gone already.
    """
    # The parent may have gone before the setting took hold.
    return _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) == 0 and os.getppid() == parent


def follow_parent(parent: int | None = None) -> None:
    """Die with the parent from now on; at once if it is no longer the process `parent`, for those who were told."""
    # In a container the parent may well be process 1: only a change of parent says that it has gone.
    if not tie_to_parent(os.getppid() if parent is None else parent):
        os._exit(127)
