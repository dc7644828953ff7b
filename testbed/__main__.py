"""The test bed by hand: `python -m testbed --help`."""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from testbed import bases
from testbed.common import CHECKOUT, CHECKOUT_ID, LABEL, STATE, TestbedError, docker, socket_folder
from testbed.container import STORES
from testbed.engine import Engine
from testbed.server import LOGINS, Server
from testbed.tiny_app import make_repo_for

BEGUN = time.monotonic()
#: As a person types it in this checkout.
COMMAND = f"{os.path.relpath(sys.executable, CHECKOUT)} -m testbed"


def say(line: str) -> None:
    """Tell a person, with the seconds since the start."""
    print(f"{time.monotonic() - BEGUN:6.1f} s  {line}", flush=True)


def make_bases(_options: argparse.Namespace) -> None:
    """Have all base images, and the server's."""
    bases.ensure([*bases.BASES, bases.SERVERS["trixie"]], say)
    for image in (*bases.BASES, bases.SERVERS["trixie"]):
        size = int(docker("image", "inspect", "-f", "{{.Size}}", image.tag).stdout)
        ours = "" if bases.recipe_of(image.tag) else "  (not made by the test bed; left alone)"
        print(f"{image.tag:32} {size / 1e6:6.0f} MB{ours}")


def server_up(options: argparse.Namespace) -> None:
    """Start a server and print how to reach it."""
    server = Server(
        options.name, store=options.store, login=options.login, suite=options.suite, disk=options.disk
    ).start(say)
    print(f"""
  ssh           ssh -F {server.ssh_config} {server.name}
  other logins  {" ".join(f"{server.name}-{login}" for login in LOGINS)}
  docker        export PATH={server.ssh_config.parent / "bin"}:$PATH DOCKER_HOST=ssh://{server.name}
  inside        docker exec -it {server.container} bash
  ports         {"  ".join(f"{port} = {server.url(port)}" for port in server.published if port != 22)}
  an app for it {COMMAND} app .testbed/tiny {server.name}
  remove        {COMMAND} server down {server.name}
""")


def server_down(options: argparse.Namespace) -> None:
    """Remove a server."""
    Server.existing(options.name).stop()
    say(f"server {options.name} is removed")


def make_app(options: argparse.Namespace) -> None:
    """Make a checkout of the tiny app that is deployed to a server, and print how."""
    path = Path(options.path).absolute()
    if path.exists():
        raise TestbedError(f"{path} is there already: name a folder that is not")
    server = Server.existing(options.server)
    make_repo_for(server, path, strategy=options.strategy)
    print(f"""
  cd {path}
  export PATH={Path(sys.executable).parent}:$PATH ALLFAST_SSH_CONFIG={server.ssh_config}
  allfast plan
  allfast deploy      # then: {server.url(80)}
""")


def show_list(_options: argparse.Namespace) -> None:
    """List the servers and engines of this checkout."""
    form = "table {{.Names}}\t{{.Status}}\t{{.Image}}\t{{.Ports}}"
    print(docker("ps", "-a", "--filter", f"label={LABEL}={CHECKOUT_ID}", "--format", form).stdout, end="")


def engine_up(options: argparse.Namespace) -> None:
    """Start a throwaway local engine and print its DOCKER_HOST."""
    print(f"export DOCKER_HOST={Engine(options.store).start(say=say).host}")


def engine_down(options: argparse.Namespace) -> None:
    """Stop a throwaway local engine; its images stay."""
    Engine(options.store).stop()


def clean(options: argparse.Namespace) -> None:
    """Remove all that this checkout has made, and nothing else."""
    ours = f"label={LABEL}={CHECKOUT_ID}"
    # A container's anonymous volumes go with it; the others bear the checkout's label
    for kind, listing, removal in (
        ("container", ["ps", "-aq"], ["rm", "-fv"]),
        ("volume", ["volume", "ls", "-q"], ["volume", "rm", "-f"]),
    ):
        found = docker(*listing, "--filter", ours).stdout.split()
        if found:
            docker(*removal, *found)
            say(f"removed {len(found)} {kind}{'s' if len(found) > 1 else ''}")
    shutil.rmtree(STATE, ignore_errors=True)
    shutil.rmtree(socket_folder("x").parent, ignore_errors=True)
    if options.images:
        say(f"removed {bases.remove_all()} of the test bed's images")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m testbed", description="Throwaway servers, local engines and base images for allfast's tests."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("bases", help="make the base images").set_defaults(run=make_bases)
    commands.add_parser("list", help="list what runs").set_defaults(run=show_list)
    cleaning = commands.add_parser(
        "clean", help="remove all servers and engines of this checkout, with their data and keys"
    )
    cleaning.add_argument(
        "--images", action="store_true", help="the images too (all checkouts on this machine share them)"
    )
    cleaning.set_defaults(run=clean)

    server = commands.add_parser("server", help="start, stop or list servers").add_subparsers(
        required=True, metavar="ACTION"
    )
    up = server.add_parser("up", help="start one (anew)")
    up.add_argument("name", nargs="?", default="play")
    up.add_argument("--store", choices=STORES, default="overlay2")
    up.add_argument("--login", choices=LOGINS, default="root")
    up.add_argument("--suite", choices=tuple(bases.SERVERS), default="trixie")
    up.add_argument("--disk", metavar="SIZE", help="a small disk of this size, such as 2g, in memory")
    up.set_defaults(run=server_up)
    down = server.add_parser("down", help="remove one")
    down.add_argument("name", nargs="?", default="play")
    down.set_defaults(run=server_down)
    server.add_parser("list", help="list what runs").set_defaults(run=show_list)

    app = commands.add_parser("app", help="make a Git checkout of the tests' tiny app, to be deployed to a server")
    app.add_argument("path", help="a folder that is not there yet")
    app.add_argument("server", nargs="?", default="play")
    app.add_argument("--strategy", choices=("side-by-side", "recreate"), default="side-by-side")
    app.set_defaults(run=make_app)

    engine = commands.add_parser("engine", help="start or stop a throwaway local engine").add_subparsers(
        required=True, metavar="ACTION"
    )
    for name, action in (("up", engine_up), ("down", engine_down)):
        command = engine.add_parser(name)
        command.add_argument("--store", choices=STORES, default="containerd")
        command.set_defaults(run=action)
    return top


def main() -> int:
    """Run the command line; the exit code is 1 when the test bed could not do it."""
    options = parser().parse_args()
    try:
        options.run(options)
    except TestbedError as error:
        print(f"testbed: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
