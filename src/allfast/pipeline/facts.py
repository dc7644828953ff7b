"""Facts: one snapshot of the commit, the Compose model, the engines and the server. Changes nothing anywhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from allfast.config.certificate import read_certificate
from allfast.config.compose import ComposeModel, render
from allfast.config.load import check_extras
from allfast.config.model import Via
from allfast.config.project import direct_ports
from allfast.config.resources import resources
from allfast.config.routes import routes
from allfast.errors import RefusedError
from allfast.images.local_engine import LocalEngine
from allfast.model.facts import Changes, Facts, ServiceFacts, Thresholds
from allfast.model.plan import Finding
from allfast.model.release import Assets, Commit, Release, Where
from allfast.model.routing import RouteSet
from allfast.model.server import ServerFacts
from allfast.model.service import BuildInputs, Kind, Service
from allfast.pipeline import edge_look
from allfast.pipeline.context import Context, Project
from allfast.pipeline.missing import missing
from allfast.planning import preflight
from allfast.source import git
from allfast.source import inputs as build_inputs
from allfast.source.bases import Bases, inspect_local, resolve_bases
from allfast.source.checkout import exported
from allfast.source.registry import ask_registry
from allfast.source.sizes import changed_size


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The facts, and what the stages after the plan need besides them."""

    facts: Facts
    checkout: Path
    model: ComposeModel = field(repr=False)
    local: LocalEngine = field(repr=False)
    sources: Sources

    def with_server(self, context: Context, server: ServerFacts) -> Snapshot:
        """The same commit against the server's state of now."""
        context.set_clock(server.clock)
        proxy = _survey(context, self.model, self.facts.routes, server)
        services = _services(context, self.checkout, self.model, self.sources.inputs, server.live)
        facts = dataclasses.replace(
            self.facts,
            server=server,
            services=services,
            proxy=proxy.announced,
            proxy_image=proxy.image,
            proxy_trouble=proxy.trouble,
            proxy_refusals=proxy.refusals,
        )
        return dataclasses.replace(self, facts=_with_missing(context, facts, self.local))


@dataclass(frozen=True, slots=True)
class Sources:
    """What each built service is made from; `uses` maps a name in its Dockerfile to the service that builds it."""

    inputs: dict[str, BuildInputs]
    bases: Bases
    uses: dict[str, tuple[tuple[str, str], ...]]


@contextmanager
def gather(context: Context, revision: str) -> Iterator[Snapshot]:
    """Gather all facts about deploying `revision`; the checkout lives as long as the block.

    Raises:
        UsageError, ConfigError: the revision, allfast.toml or a Compose file is wrong.
        RefusedError: no repository, a missing base image or submodule.
    """
    project = context.project
    check_extras(project.config)
    with _asking() as pool:
        server = pool.submit(context.server.facts)
        local = LocalEngine.of_shell()
        images = pool.submit(local.images, project.deployment)
        sha = git.resolve(project.root, revision)
        looking = pool.submit(git.commit, project.root, revision, sha=sha)
        with exported(project.root, sha, extra=project.config.extras()) as checkout:
            model = render(checkout, project.config, project.target_name, state_folder=lambda: context.server.folder)
            context.redactor.add(model.secrets, names=model.names, doubtful=model.doubtful)
            context.public |= model.public
            commit, found = looking.result(), server.result()
            context.set_clock(found.clock)
            sources = _sources(checkout, model, found.platform, project, local)
            wanted = routes(model.services, project.config, project.target_name)
            secured = {route.host for route in wanted.routes if route.listen.tls}
            context.certificate = read_certificate(project.config, project.target_name, secured)
            context.redactor.add({context.certificate.key} - {""})
            proxy = _survey(context, model, wanted, found)
            services = _services(context, checkout, model, sources.inputs, found.live)
            facts = Facts(
                deployment=project.deployment,
                target=project.target_name,
                commit=commit,
                services=services,
                server=found,
                local_images=images.result(),
                strategy=project.target.strategy,
                routes=wanted,
                resources=resources(model.top, project.deployment),
                proxy=proxy.announced,
                proxy_image=proxy.image,
                proxy_trouble=proxy.trouble,
                proxy_refusals=proxy.refusals,
                thresholds=_thresholds(project),
                findings=(
                    *_preflight(project, commit, model),
                    *preflight.certificate(context.certificate, secured, context.now()),
                ),
                asked=_asked(project),
                notes=(*sources.bases.notes, *model.notes),
            )
            yield Snapshot(_with_missing(context, facts, local), checkout, model, local, sources)


def _with_missing(context: Context, facts: Facts, local: LocalEngine) -> Facts:
    return dataclasses.replace(facts, missing=missing(context, facts, local))


@contextmanager
def _asking() -> Iterator[ThreadPoolExecutor]:
    """Threads to ask several at once. After an error nobody waits for the answers: a server can take its time."""
    pool = ThreadPoolExecutor(3)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _survey(context: Context, model: ComposeModel, routes: RouteSet, server: ServerFacts) -> edge_look.Survey:
    definitions = {one.name: one.definition for one in model.services if one.kind is Kind.RELEASE}
    direct = direct_ports(definitions, routes)
    return edge_look.survey(context, context.project.target.strategy, routes, direct, server.live)


def _asked(project: Project) -> frozenset[str]:
    """The services whose version is asked on the server."""
    if project.target.via is Via.URL:
        return frozenset()
    return frozenset(name for name, one in project.config.toml.services.items() if one.version is not None)


def _thresholds(project: Project) -> Thresholds:
    toml = project.config.toml
    return Thresholds(toml.refactor_files, toml.refactor_share)


def _sources(checkout: Path, model: ComposeModel, platform: str, project: Project, local: LocalEngine) -> Sources:
    """The inputs of every service that is built."""
    built = {s.name: s for s in model.services if s.build is not None}
    names = {s.image: s.name for s in built.values() if s.image}
    wanted: dict[str, list[str]] = {}
    uses: dict[str, tuple[tuple[str, str], ...]] = {}
    for name, service in built.items():
        assert service.build is not None
        needs = build_inputs.taken_from_outside(checkout, service.build, platform=service.build.platform or platform)
        uses[name] = tuple((image, names[image]) for image in needs.images if names.get(image, name) != name)
        for image in needs.images:
            if image not in dict(uses[name]):
                wanted.setdefault(image, []).append(name)
    try:
        bases = resolve_bases(wanted, inspect_local, ask_registry)
    except RefusedError:
        local.require_engine()  # one that does not answer has no images: then that is the cause
        raise
    reader = _Inputs(checkout, platform, project, bases, uses, built)
    return Sources({name: reader.of(name) for name in built}, bases, uses)


class _Inputs:
    """The inputs of services, of those first whose images others are built from."""

    def __init__(
        self,
        checkout: Path,
        platform: str,
        project: Project,
        bases: Bases,
        uses: dict[str, tuple[tuple[str, str], ...]],
        built: dict[str, Service],
    ) -> None:
        self._checkout, self._platform, self._project = checkout, platform, project
        self._bases, self._uses, self._built = bases, uses, built
        self._hashes: dict[str, str] = {}
        self._known: dict[str, BuildInputs] = {}

    def of(self, name: str) -> BuildInputs:
        if name not in self._known:
            build = self._built[name].build
            assert build is not None
            ours = {image: "inputs:" + self.of(service).digest for image, service in self._uses[name]}
            prefix = self._project.config.prefix
            self._known[name] = build_inputs.build_inputs(
                self._checkout,
                build,
                platform=build.platform or self._platform,
                bases={**self._bases.digests, **ours},
                extra=[str(prefix / extra) for extra in self._project.config.service(name).extra],
                hashes=self._hashes,
            )
        return self._known[name]


def _services(
    context: Context, checkout: Path, model: ComposeModel, inputs: dict[str, BuildInputs], live: Release | None
) -> tuple[ServiceFacts, ...]:
    changes = _Changes(checkout, live, context.server.inputs, context.project.config.toml.dependency_files)
    found = []
    for service in model.services:
        settings = context.project.config.service(service.name)
        asked = settings.version
        own = inputs.get(service.name)
        found.append(
            ServiceFacts(
                service=service,
                inputs=own,
                changes=changes.of(service, own),
                before=model.before.get(service.name, ()),
                fresh_after=settings.fresh_after.total_seconds() if settings.fresh_after is not None else None,
                assets=Assets(settings.assets.path, settings.assets.url) if settings.assets is not None else None,
                shared=settings.shared,
                version=Where(asked.path, asked.json_key, asked.header) if asked is not None else None,
                # the Compose file's port counts where a version is asked: elsewhere nothing says that it speaks HTTP
                asked_on=settings.port or (service.port if asked is not None else None),
                sources=tuple((k, ", ".join(files)) for k, files in model.sources.get(service.name, {}).items()),
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Changes:
    """What changed against the live release; the live inputs are asked for only where their digest differs."""

    checkout: Path
    live: Release | None
    ask: Callable[[str], BuildInputs | None]
    dependency_files: tuple[str, ...]

    def of(self, service: Service, new: BuildInputs | None) -> Changes | None:
        recorded = self.live.service(service.name) if self.live else None
        if new is None or recorded is None or not recorded.inputs:
            return None
        if recorded.inputs == new.digest:
            return Changes()
        old = self.ask(recorded.inputs)
        if old is None or service.build is None:
            return None
        found = build_inputs.changes(old, new, self.dependency_files, context=service.build.context)
        return dataclasses.replace(found, size=changed_size(self.checkout, service.build, new, found.files))


def _preflight(project: Project, commit: Commit, model: ComposeModel) -> tuple[Finding, ...]:
    """What the commit and the configuration alone say against a deploy."""
    rules = {name: str(level) for name, level in project.config.toml.preflight.model_dump().items()}
    branch = project.target.branch or ""
    on_branch = not branch or commit.branch == branch or git.on_branch(project.root, commit.sha, branch)
    return (
        *preflight.tree(commit, rules),
        *preflight.branch(commit, branch, on_branch, rules),
        *preflight.development(model.services, rules),
        *preflight.source_mounts(model.mounted, rules),
        *preflight.build_secrets(model.secret_arguments, rules),
        *preflight.conflicts(model.conflicts),
    )
