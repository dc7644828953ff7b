"""The test bed: throwaway servers, throwaway local engines, base images and a tiny app, all on one machine.

Needs a local Docker engine (`scripts/setup-docker`) and the standard library only. By hand: `python -m testbed --help`;
from tests: `testbed.server.Server`, `testbed.engine.Engine`, `testbed.trouble` and `testbed.tiny_app.make_repo`.
"""
