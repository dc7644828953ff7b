"""The two things the app keeps its data in: PostgreSQL and Redis.

Where they are comes from the environment: PostgreSQL's own PG* variables, REDIS_HOST and REDIS_PASSWORD.
"""

import os
from typing import LiteralString

import redis
from psycopg import Connection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

Database = ConnectionPool[Connection[DictRow]]

WAKE_WORKER = "queue:wake"


def open_database(max_size: int = 10) -> Database:
    """A pool that connects in the background, so that the process starts (and says so) while PostgreSQL is away."""
    return ConnectionPool(
        connection_class=Connection[DictRow],
        check=ConnectionPool.check_connection,  # so that a restart of PostgreSQL fails no request after it
        kwargs={"row_factory": dict_row, "connect_timeout": 3},
        min_size=1,
        max_size=max_size,
        timeout=5,
        reconnect_timeout=2,  # the next request tries anew, where the pool would wait longer and longer
        open=True,
    )


def open_redis() -> redis.Redis:
    return redis.Redis(
        host=os.environ.get("REDIS_HOST", "localhost"),
        password=os.environ.get("REDIS_PASSWORD"),
        decode_responses=True,
        socket_connect_timeout=2,
        socket_timeout=5,
    )


def rows(database: Database, query: LiteralString, *values: object) -> list[DictRow]:
    """Run one statement in its own transaction."""
    with database.connection() as connection:
        return connection.execute(query, values).fetchall()
