"""What a test changes by a commit, a line each."""

TEXT = "api one"
WORKER_TEXT = "worker one"
HEALTHY = True
CRASH = False
START_SECONDS = 0.0
MIGRATION_FAILS = False
