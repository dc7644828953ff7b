"""The worker: `python -m chat.worker` answers the users' messages.

The table says what is to be answered; an entry of the Redis list only wakes the worker. So neither a lost entry nor a
killed worker loses a message, and two workers can run at once.
"""

import logging
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import psycopg
import psycopg_pool
import redis

from chat.backends import WAKE_WORKER, Database, open_database, open_redis
from chat.cache import ConversationCache

ALIVE = Path("/tmp/worker-alive")  # touched when both stores have answered; the health check looks at its age
ROUND_SECONDS = 1

log = logging.getLogger("chat.worker")


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    store = open_redis()
    cache = ConversationCache(store)
    with open_database(max_size=1) as database:
        log.info("ready")
        while not stopping:
            try:
                store.blpop([WAKE_WORKER], timeout=ROUND_SECONDS)
                while not stopping and answer_next(database, cache):
                    pass
                ALIVE.touch()
            except (psycopg.Error, psycopg_pool.PoolTimeout, redis.RedisError) as error:
                log.warning("will try again: %s", error)
                time.sleep(ROUND_SECONDS)
    log.info("stopped")
    return 0


def answer_next(database: Database, cache: ConversationCache) -> bool:
    """Answer the oldest message that has no answer and that no other worker holds. False when there is none."""
    with database.connection() as connection:
        message = connection.execute(
            """
            SELECT m.id, m.body, m.conversation_id, c.user_id
            FROM messages m JOIN conversations c ON c.id = m.conversation_id
            WHERE m.author = 'user' AND NOT EXISTS (SELECT FROM messages a WHERE a.answers = m.id)
            ORDER BY m.id LIMIT 1 FOR UPDATE OF m SKIP LOCKED
            """
        ).fetchone()
        if message is None:
            return False
        connection.execute(
            "INSERT INTO messages (conversation_id, author, body, answers) VALUES (%s, 'worker', %s, %s)"
            " ON CONFLICT (answers) DO NOTHING",
            [message["conversation_id"], reply(message["body"]), message["id"]],
        )
    cache.invalidate(message["user_id"])
    log.info("answered message %s", message["id"])
    return True


def reply(body: str) -> str:
    words = body.split()
    longest = max(words, key=len, default="")
    return f"{len(words)} {'word' if len(words) == 1 else 'words'}, {len(body)} characters; the longest is “{longest}”."


if __name__ == "__main__":
    sys.exit(main())
