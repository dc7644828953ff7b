"""The table of all requests that an agent answers, and what each one does.

A request that changes something is refused unless this agent holds the lock (promise 6).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, NamedTuple, Optional

from allfast.agent import (
    cache,
    containers,
    exchange,
    facts,
    fetch,
    files,
    lock,
    proxy,
    prune,
    retire,
    settle,
    siblings,
    state,
)
from allfast.agent.docker import Docker
from allfast.agent.guard import Guard
from allfast.agent.layers import Layers
from allfast.agent.ledger import Ledger
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.receive import Receiver
from allfast.agent.telling import Note

#: Seconds that an exchange of the proxy's containers, there and back, takes at most where the engine answers.
REST = 60.0
Json = Dict[str, Any]


class Context:
    """What the requests of one connection share."""

    def __init__(self, args: Json, docker: Docker, guard: Guard) -> None:
        """`args` are the laptop's: deployment, app, target, state_dir ("" for the default)."""
        self.args = args
        self.deployment = str(args["deployment"])
        self._app = str(args["app"])
        self._target = str(args["target"])
        self.docker = docker
        self.base = state.base(str(args["state_dir"]), docker)
        self.folder = self.base / self.deployment
        self.lock = lock.Lock(guard)
        self.proxy_lock = lock.Lock(guard)  # taken with the deployment's lock held, and released before it
        self.proxy_folder = Path()  # while the proxy's lock is held
        self.unbroken = threading.Lock()  # held by what must not end half done
        self.layers = Layers()
        self._mutex = threading.Lock()
        self._ledger: Optional[Ledger] = None
        self._receiver: Optional[Receiver] = None

    def receiver(self) -> Receiver:
        """What takes layers and images; made once."""
        with self._mutex:
            if self._receiver is None:
                engine, deployment = self.docker.engine, self.deployment
                self._receiver = Receiver(engine, self.folder, lambda: self.layers.of_deployment(engine, deployment))
            return self._receiver

    def rest(self) -> None:
        """Before this process ends: wait, but not for ever, for what must not end half done; none such begins then."""
        if self._receiver is not None:
            self._receiver.end()
        self.unbroken.acquire(timeout=REST)

    def release(self) -> None:
        """Let go of all locks that are held."""
        self.proxy_lock.release()
        self.lock.release()

    def ledger(self, create: bool = False) -> Ledger:
        """The deployment's ledger, opened once. Raises `AgentError` (see `Ledger`)."""
        with self._mutex:
            if create and self._ledger is not None:
                self._ledger.close()
                self._ledger = None
            if self._ledger is None:
                siblings.check(self.base, self.deployment, self._app, self._target)
                self._ledger = Ledger(self.folder, self._app, self._target, create)
            return self._ledger

    def ledger_if_any(self) -> Optional[Ledger]:
        """The same, None where nothing was ever deployed."""
        try:
            return self.ledger()
        except AgentError as error:
            if error.kind != Kind.NO_STATE:
                raise
            return None


class Call(NamedTuple):
    """One request as it came; `note` tells the laptop something while it is under way."""

    context: Context
    args: Json
    note: Note
    body: Optional[IO[bytes]]


class Request(NamedTuple):
    """One kind of request: what does it, whether it needs the lock, whether raw bytes follow it."""

    run: Callable[[Call], Any]
    changes: bool = True
    body: bool = False


def _facts(call: Call) -> Any:
    return facts.facts(
        call.context.docker.engine, call.context.deployment, call.context.folder, call.context.ledger_if_any()
    )


def _containers(call: Call) -> List[Json]:
    return containers.of_deployment(call.context.docker.engine, call.context.deployment)


def _layers(call: Call) -> int:
    ledger = call.context.ledger_if_any()
    return call.context.layers.leading(
        call.context.docker.engine, call.args["diff_ids"], set(ledger.images()) if ledger else set()
    )


def _lock(call: Call) -> Json:
    """Take the lock, make what is missing of the state, and wait for rest where a run was left unfinished."""
    folder = state.make(call.context.base, call.context.deployment, call.context.docker)
    call.context.lock.take(folder, call.args["who"], call.args["doing"], call.args["wait"], call.note)
    try:
        unfinished = call.context.ledger(create=True).unfinished()
        if unfinished is not None:
            call.note({"settling": unfinished["id"]})
            settle.settle(call.context.docker.engine, call.context.deployment)
    except BaseException:
        call.context.lock.release()
        raise
    cache.store()
    return {"unfinished": unfinished, "folder": str(folder)}


def _proxy_look(call: Call) -> Any:
    return proxy.look(call.context.docker, call.context.base, call.context.deployment)


def _proxy_lock(call: Call) -> None:
    """Take the lock of the whole server's proxy, and make what is missing of its folder."""
    folder = proxy.folder(call.context.docker, call.context.base)
    call.context.proxy_lock.take(folder, call.args["who"], call.args["doing"], call.args["wait"], call.note)
    call.context.proxy_folder = folder


def _proxy_apply(call: Call) -> Json:
    call.context.proxy_lock.check()
    return proxy.apply(call.context.docker, call.context.proxy_folder, call.context.deployment, **call.args)


def _proxy_remove(call: Call) -> Json:
    call.context.proxy_lock.check()
    return proxy.remove(call.context.docker, call.context.proxy_folder, call.context.deployment, **call.args)


def _proxy_serve(call: Call) -> None:
    with call.context.unbroken:
        call.context.lock.check()  # who waited here may have lost it
        exchange.serve(call.context.docker, call.context.base, **call.args)


def _of_proxy(function: Callable[..., Any]) -> Callable[[Call], Any]:
    """A request about the deployment's own folder of the proxy's state."""
    return lambda call: function(call.context.docker, call.context.base, call.context.deployment, **call.args)


def _remove_release(call: Call) -> None:
    retire.remove(call.context.docker.engine, call.context.folder, call.context.deployment, **call.args)


def _put_release(call: Call) -> None:
    if call.args["compose"] is not None:
        files.put_compose(call.context.folder, call.args["release"]["id"], call.args["compose"])
    call.context.ledger().put_release(call.args["release"])


def _put_files(call: Call) -> str:
    assert call.body is not None  # `answer` has seen to it
    return files.put(call.context.folder, call.args["digest"], call.body)


def _get_release(call: Call) -> Json:
    release, _ = call.context.ledger().release(call.args["id"])
    text = files.compose(call.context.folder, call.args["id"])
    return {"release": release, "compose": text, "secrets": files.secrets(call.context.folder, text)}


def _layer_batch(call: Call) -> None:
    assert call.body is not None  # `answer` has seen to it
    call.context.receiver().batch(call.args["stream"], call.body)


def _prune(call: Call) -> Json:
    context = call.context
    run = context.ledger().unfinished() if call.args["resumable"] else None  # the one that ends with this
    context.receiver().trim(call.args["layer_cache"], run["began"] if run else None)
    pruned = prune.prune(context.folder, context.ledger(), context.docker.engine, call.args["keep"])
    context.receiver().forget()
    return pruned


def _in_ledger(name: str) -> Callable[[Call], Any]:
    """A request that is one call of a ledger's method with the request's arguments."""

    def run(call: Call) -> Any:
        return getattr(call.context.ledger(), name)(**call.args)

    return run


#: All requests, by name. Arguments and results are described where the laptop offers them: remote/.
REQUESTS: Dict[str, Request] = {
    # looking
    "facts": Request(_facts, changes=False),
    "containers": Request(_containers, changes=False),
    "layers": Request(_layers, changes=False),
    "expect_layers": Request(lambda call: call.context.receiver().expect(**call.args), changes=False),
    "layer_stock": Request(lambda call: call.context.receiver().stock(**call.args), changes=False),
    "find_image": Request(lambda call: call.context.receiver().find(**call.args), changes=False),
    "http": Request(lambda call: fetch.fetch(**call.args), changes=False),
    "accepting": Request(lambda call: fetch.accepting(**call.args), changes=False),
    "releases": Request(_in_ledger("releases"), changes=False),
    "get_release": Request(_get_release, changes=False),
    "inputs": Request(_in_ledger("inputs"), changes=False),
    "history": Request(_in_ledger("history"), changes=False),
    "run": Request(_in_ledger("run"), changes=False),
    "have_files": Request(lambda call: files.have(call.context.folder, **call.args), changes=False),
    "proxy": Request(_proxy_look, changes=False),
    # the lock
    "lock": Request(_lock, changes=False),
    "unlock": Request(lambda call: call.context.release(), changes=False),
    # changing
    "mint": Request(_in_ledger("mint")),
    "put_release": Request(_put_release),
    "set_state": Request(_in_ledger("set_state")),
    "put_inputs": Request(_in_ledger("put_inputs")),
    "put_images": Request(_in_ledger("put_images")),
    "mark_stale": Request(_in_ledger("mark_stale")),
    "put_data": Request(_in_ledger("put_data")),
    "put_files": Request(_put_files, body=True),
    "layer_index": Request(lambda call: call.context.receiver().index(**call.args)),
    "warm_layer": Request(lambda call: call.context.receiver().warm(**call.args, note=call.note)),
    "receive_layer": Request(lambda call: call.context.receiver().receive(**call.args, note=call.note)),
    "layer_batch": Request(_layer_batch, body=True),
    "load_image": Request(lambda call: call.context.receiver().load(**call.args, note=call.note)),
    "name_images": Request(lambda call: call.context.receiver().name(**call.args)),
    "ensure_data": Request(lambda call: files.ensure_data(call.context.folder, **call.args)),
    "begin_run": Request(_in_ledger("begin_run")),
    "update_run": Request(_in_ledger("update_run")),
    "add_phase": Request(_in_ledger("add_phase")),
    "begin_step": Request(_in_ledger("begin_step")),
    "end_step": Request(_in_ledger("end_step")),
    "proxy_lock": Request(_proxy_lock),
    "proxy_unlock": Request(lambda call: call.context.proxy_lock.release()),
    "proxy_apply": Request(_proxy_apply),
    "proxy_remove": Request(_proxy_remove),
    "proxy_serve": Request(_proxy_serve),
    "proxy_switch": Request(_of_proxy(proxy.switch)),
    "proxy_canary": Request(_of_proxy(proxy.canary)),
    "keep_assets": Request(_of_proxy(proxy.keep_assets)),
    "prune_assets": Request(_of_proxy(proxy.prune_assets)),
    "proxy_close": Request(_of_proxy(proxy.close)),
    "proxy_open": Request(_of_proxy(proxy.open_again)),
    "remove_release": Request(_remove_release),
    "retire_later": Request(lambda call: retire.later(call.context.folder, call.context.args, **call.args)),
    "prune": Request(_prune),
}


def answer(context: Context, name: str, args: Json, note: Note, body: Optional[IO[bytes]]) -> Any:
    """Carry out a request. Raises `AgentError` when it is not known, not allowed, or fails."""
    request = REQUESTS.get(name)
    if request is None or request.body != (body is not None):
        raise AgentError(Kind.BAD_REQUEST, f"no request {name!r} of this form")
    if request.changes:
        context.lock.check()
    return request.run(Call(context, args, note, body))
