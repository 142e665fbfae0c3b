"""Who was verified a moment ago, so that a request of a known caller costs no query.

Entries live a minute at most and are dropped the moment a signal says that something about them
changed. While this process cannot hear signals it remembers nothing: every request asks the
database, which always knows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.infra.db.signals import Signals
from app.kernel.principal import Principal

REMEMBERED = timedelta(seconds=60)
_MAX_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A verified caller, until when, and the signals that would end it."""

    principal: Principal
    actor: str
    valid_until: datetime
    signals: tuple[str, ...]
    csrf_token: str | None = None


class PrincipalCache:
    """Verified callers by the hash of what they presented."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._entries: dict[bytes, Entry] = {}
        self._by_signal: defaultdict[str, set[bytes]] = defaultdict(set)
        self._generation = 0
        signals.subscribe(self._drop, self._drop_all)

    @property
    def generation(self) -> int:
        """Changes with every signal; see `remember`."""
        return self._generation

    @property
    def is_hearing(self) -> bool:
        """Whether anything is remembered just now."""
        return self._signals.is_hearing

    def find(self, fingerprint: bytes, at: datetime) -> Entry | None:
        entry = self._entries.get(fingerprint)
        if entry is None or not self._signals.is_hearing or entry.valid_until <= at:
            return None
        return entry

    def remember(self, fingerprint: bytes, entry: Entry, generation: int) -> None:
        """Keep what was read from the database when the cache was at *generation*.

        If a signal came between the reading and now, the reading may be older than what the
        signal told, so it is not kept.
        """
        if generation != self._generation or not self._signals.is_hearing:
            return
        self._remove(fingerprint)
        if len(self._entries) >= _MAX_ENTRIES:
            self._remove(next(iter(self._entries)))
        self._entries[fingerprint] = entry
        for signal in entry.signals:
            self._by_signal[signal].add(fingerprint)

    def _drop(self, signal: str) -> None:
        self._generation += 1
        self._remove_all(self._by_signal.pop(signal, ()))

    def _drop_all(self) -> None:
        self._generation += 1
        self._entries.clear()
        self._by_signal.clear()

    def _remove_all(self, fingerprints: Iterable[bytes]) -> None:
        for fingerprint in tuple(fingerprints):
            self._remove(fingerprint)

    def _remove(self, fingerprint: bytes) -> None:
        entry = self._entries.pop(fingerprint, None)
        if entry is None:
            return
        for signal in entry.signals:
            known = self._by_signal.get(signal)
            if known is not None:
                known.discard(fingerprint)
                if not known:
                    del self._by_signal[signal]
