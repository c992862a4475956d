"""Builds an index in a process of its own: its memory is gone when it ends, and what crashes it costs one build."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Protocol

from pixvec.domain import IndexKind, IndexSettings, Metric
from pixvec.index.durable import FileSeal

_LAST_WORDS_CHARS = 500


class BuildsEnded(OSError):
    """The searcher is shutting down: no index is built any more, and nothing is wrong."""


class BuildHurried(OSError):
    """The build was ended because it could not be hurried: it is to begin again, as an urgent one."""


class IndexMaker(Protocol):
    """A MakeIndex that may be told to hurry."""

    def __call__(
        self, folder: Path, kind: IndexKind, metric: Metric, settings: IndexSettings, *, is_urgent: bool = ...
    ) -> FileSeal:
        """Build the index over the rows in this folder, and return its file's seal. Raises OSError."""

    def hurry(self) -> None:
        """Let the build under way, if any, take its share of the processor from now on. Any thread may call."""


class BuilderProcess:
    """An IndexMaker. `close` ends the build under way, which then raises BuildsEnded."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._running: subprocess.Popen[str] | None = None
        self._closed = False
        # Of the build under way.
        self._is_urgent = self._is_to_begin_again = False

    def __call__(
        self, folder: Path, kind: IndexKind, metric: Metric, settings: IndexSettings, *, is_urgent: bool = False
    ) -> FileSeal:
        """Build the index over the rows in this folder, with what searches leave of the processor unless it is urgent.
        Raises OSError when it cannot be built, BuildsEnded once `close` was called, BuildHurried."""
        order = {
            "parent": os.getpid(),
            "folder": str(folder),
            "kind": kind,
            "metric": metric,
            "settings": dataclasses.asdict(settings),
            "threads": self._threads,
            "is_urgent": is_urgent,
        }
        process = self._start(json.dumps(order), is_urgent=is_urgent)
        answer, last_words = process.communicate()
        with self._lock:
            self._running = None
            if self._closed and process.returncode != 0:
                raise BuildsEnded("the searcher is shutting down")
            if self._is_to_begin_again and process.returncode != 0:
                raise BuildHurried("the build begins again, as an urgent one")
        if process.returncode != 0:
            why = last_words[-_LAST_WORDS_CHARS:].strip()
            raise OSError(f"the build of {kind} in {folder.name} ended with {process.returncode}: {why}")
        return FileSeal(**json.loads(answer.splitlines()[-1]))

    def close(self) -> None:
        """Build no more."""
        with self._lock:
            self._closed = True
            if self._running is not None:
                self._running.kill()

    def hurry(self) -> None:
        """See IndexMaker. Where the kernel does not allow it, the build ends and raises BuildHurried."""
        with self._lock:
            if self._running is None or self._is_urgent:
                return
            # Not once and for all: it may not have made itself idle yet.
            try:
                _take_turns(self._running.pid)
            except PermissionError:
                self._is_to_begin_again = True
                self._running.kill()

    def _start(self, order: str, *, is_urgent: bool) -> "subprocess.Popen[str]":
        with self._lock:
            if self._closed:
                raise BuildsEnded("the searcher is shutting down")
            self._is_urgent, self._is_to_begin_again = is_urgent, False
            # The kernel ends it with the thread that started it: builds run in one thread that lives as long as we do.
            self._running = subprocess.Popen(
                [sys.executable, "-m", "services.searcher.builder", order],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            return self._running


def _take_turns(process: int) -> None:
    """Schedule all threads of a process as any other's. Raises PermissionError."""
    # It may end at any moment, and so may its threads.
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
