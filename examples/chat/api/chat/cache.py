"""The response cache: a user's list of conversations, as JSON, in `cache:conversations:<user>:<generation>`."""

from collections.abc import Callable

import redis

KEEP_SECONDS = 300


class ConversationCache:
    """A write begins a generation: a reader that was slower than the write fills the old one, which nobody reads."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store

    def get(self, user_id: int, load: Callable[[], str]) -> str:
        generation = str(self._store.get(f"generation:{user_id}") or 0)
        key = f"cache:conversations:{user_id}:{generation}"
        cached = self._store.get(key)
        if cached is not None:
            return str(cached)
        fresh = load()
        self._store.set(key, fresh, ex=KEEP_SECONDS)
        return fresh

    def invalidate(self, user_id: int) -> None:
        """To be called after the write is committed."""
        self._store.incr(f"generation:{user_id}")
