"""What a test changes by a commit, a line each."""

TEXT = "web one"
HEALTHY = True
CRASH = False
START_SECONDS = 0.0
