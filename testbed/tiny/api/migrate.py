"""The migration: counts in Redis how often it has run."""

import sys

import settings
from redis import redis

if settings.MIGRATION_FAILS:
    print("migrate: column 'colour' already exists", file=sys.stderr)
    sys.exit(7)
count = redis("INCR", "migrations")
print(f"migrate: done, for the time number {int(count or 0)}")
