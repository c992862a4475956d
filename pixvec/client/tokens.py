"""What this client has written, so that it can ask to see it."""

import threading

from pixvec.domain import SeqToken


class SessionTokens:
    """Remembers the newest position a shard, for each collection this client has written to. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, SeqToken] = {}

    def remember(self, collection: str, token: SeqToken) -> None:
        """Merge what a write returned into what is known."""
        if token.positions:
            with self._lock:
                self._tokens[collection] = self._tokens.get(collection, SeqToken()).merged(token)

    def newest(self, collection: str) -> SeqToken:
        """Return what a read has to wait for to see this client's writes; empty when it has written nothing."""
        return self._tokens.get(collection, _NOTHING)

    def forget(self, collection: str) -> None:
        """Drop what is known of a collection that was deleted, made anew, or restored."""
        with self._lock:
            self._tokens.pop(collection, None)


_NOTHING = SeqToken()
