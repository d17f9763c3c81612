"""Empties SQLite's write-ahead log into the database file beside the work, so that no commit has to wait for it.

By itself SQLite does this inside the commit that finds the log long: it copies every page once more and waits for the
disk twice. A passive checkpoint takes no lock that a reader or writer wants. Where it falls behind, or this thread has
died or hangs, commits do it as ever once the log is `engine.LONGEST_LOG` bytes long. Processes that share a file may
each do so.
"""

import logging
import sqlite3
import threading
import time
from pathlib import Path

from ecgfm_clinical import log

#: Seconds in which commits gather: each checkpoint costs the disk two waits, however little there is to copy. Short
#: enough that a few hundred ECGs a second do not fill `engine.LONGEST_LOG` meanwhile.
PAUSE = 0.1
#: Seconds that one checkpoint may take until the next commit says that it hangs, as on a disk that does not answer.
HANGS_AFTER = 60.0
STOPS_IN = 10.0  #: seconds that `stop` waits; beyond that the thread ends with its process


class Checkpointer:
    """One thread for one database file; it starts with the first `nudge`. Safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._began: float | None = None  #: of the monotonic clock: the checkpoint under way
        self._hangs = False

    def nudge(self) -> None:
        """Something was committed."""
        began = self._began
        if began is not None and not self._hangs and time.monotonic() - began > HANGS_AFTER:
            self._hangs = True
            log.event("thread.hangs", logging.ERROR, thread="checkpointer")
        thread = self._thread
        if thread is not None and thread.is_alive() and self._written.is_set():
            return
        self._written.set()
        if thread is None or not thread.is_alive():  # not yet, or it died: the next commit starts it anew
            self._start()

    def stop(self) -> None:
        """End the thread; what it has not copied stays safe in the log."""
        self._stopping.set()
        self._written.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(STOPS_IN)

    def _start(self) -> None:
        with self._lock:
            alive = self._thread is not None and self._thread.is_alive()
            if not alive and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="checkpointer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._written.wait()
            if self._stopping.wait(PAUSE):
                return
            self._written.clear()
            if self._stopping.is_set():  # `stop` may have come just before the flag by which it wakes this thread fell
                return
            self._began = time.monotonic()
            try:
                self._checkpoint()
            except sqlite3.Error:
                # Disk full, file locked by another program: nothing is lost, the log keeps it. Whoever commits next is
                # told.
                continue
            finally:
                self._began, self._hangs = None, False

    def _checkpoint(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")  # the file is safe on disk before the log is used anew
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()
