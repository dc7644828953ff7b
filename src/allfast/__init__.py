"""allfast: from a Git commit to a proven, running application on your own server."""

__version__ = "0.1.0"
