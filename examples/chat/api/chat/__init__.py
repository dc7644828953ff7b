"""The chat example's api and worker."""
