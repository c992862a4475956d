"""Builds an index in a process of its own: its memory is gone when it ends, and what crashes it costs one build."""

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


class IndexMaker(Protocol):
    """A MakeIndex that may be told to hurry."""

    def __call__(
        self, folder: Path, kind: IndexKind, metric: Metric, settings: IndexSettings, *, is_urgent: bool = ...
    ) -> FileSeal:
        """Build the index over the rows in this folder, and return its file's seal. Raises OSError."""


class BuilderProcess:
    """An IndexMaker. `close` ends the build under way, which then raises BuildsEnded."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._running: subprocess.Popen[str] | None = None
        self._closed = False

    def __call__(
        self, folder: Path, kind: IndexKind, metric: Metric, settings: IndexSettings, *, is_urgent: bool = False
    ) -> FileSeal:
        """Build the index over the rows in this folder, with what searches leave of the processor unless it is urgent.
        Raises OSError when it cannot be built, BuildsEnded
        once `close` was called."""
        order = {
            "parent": os.getpid(),
            "folder": str(folder),
            "kind": kind,
            "metric": metric,
            "settings": dataclasses.asdict(settings),
            "threads": self._threads,
            "is_urgent": is_urgent,
        }
        process = self._start(json.dumps(order))
        answer, last_words = process.communicate()
        with self._lock:
            self._running = None
            if self._closed and process.returncode != 0:
                raise BuildsEnded("the searcher is shutting down")
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

    def _start(self, order: str) -> "subprocess.Popen[str]":
        with self._lock:
            if self._closed:
                raise BuildsEnded("the searcher is shutting down")
            # The kernel ends it with the thread that started it: builds run in one thread that lives as long as we do.
            self._running = subprocess.Popen(
                [sys.executable, "-m", "services.searcher.builder", order],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            return self._running
