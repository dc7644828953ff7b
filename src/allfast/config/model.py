"""The keys of `allfast.toml`: what may stand there, of which type, and what holds when it does not.

`example.toml` beside this file is the manual, and is tested to name every key with its default. A key whose feature
does not exist yet is not here, so that it is refused like any other unknown key.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    model_validator,
)

from allfast.config.nearest import nearest
from allfast.config.values import (
    Duration,
    Host,
    Name,
    Network,
    ProjectPath,
    RouteText,
    ServerPath,
    Share,
    Size,
    Text,
    Url,
    UrlPath,
    Variable,
)
from allfast.errors import UsageError
from allfast.model.release import Strategy
from allfast.model.service import Kind


class _Section(BaseModel):
    """A table of allfast.toml: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Level(StrEnum):
    """What a finding of preflight does."""

    REFUSE = "refuse"
    WARN = "warn"
    OFF = "off"


class Via(StrEnum):
    """The ways by which a deploy is proven."""

    SERVER = "server"
    URL = "url"
    BOTH = "both"


class Verify(_Section):
    """How a deploy is proven: through the server itself, through the public URL, or both."""

    via: Via


class Version(_Section):
    """Where a service tells the version that was compiled into it; in `json`, dots go into objects."""

    path: UrlPath
    json_key: Text | None = Field(default=None, alias="json")
    header: Text | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Version:
        if (self.json_key is None) == (self.header is None):
            raise ValueError("should have one of `json` and `header`")
        return self


class Assets(_Section):
    """Files that pages load by name: their folder in the container, and the path of the URL below which they are."""

    path: UrlPath
    url: UrlPath


class CertificateFiles(_Section):
    """A certificate with its chain, and its private key: PEM files of this machine."""

    file: ProjectPath
    key: ProjectPath


class Target(_Section):
    """A named place to deploy to."""

    host: Host
    ssh_config: ProjectPath | None = None
    url: Url | None = None
    compose: Annotated[tuple[ProjectPath, ...], Field(min_length=1)] | None = None
    env_file: ProjectPath | None = None
    env: tuple[Variable, ...] = ()
    env_command: Text | None = None
    certificate: CertificateFiles | None = None
    branch: Text | None = None
    strategy: Strategy = Strategy.SIDE_BY_SIDE
    pull_bases: StrictBool = False
    verify: Verify | None = None
    state_dir: ServerPath | None = None

    @model_validator(mode="after")
    def _url_to_ask(self) -> Target:
        if self.url is None and self.verify is not None and self.verify.via is not Via.SERVER:
            raise ValueError(f'verify.via is "{self.verify.via.value}", but there is no `url` to ask')
        return self

    @property
    def via(self) -> Via:
        """How deploys to this target are proven; by default both ways where there is a URL."""
        if self.verify is not None:
            return self.verify.via
        return Via.BOTH if self.url is not None else Via.SERVER


class ServiceSettings(_Section):
    """What allfast cannot read from the Compose file about a service."""

    route: RouteText | None = None
    port: Annotated[StrictInt, Field(ge=1, le=65535)] | None = None
    version: Version | None = None
    assets: Assets | None = None
    before: Text | None = None
    kind: Kind | None = None
    shared: StrictBool = True
    extra: tuple[ProjectPath, ...] = ()
    fresh_after: Duration | None = None


class Proxy(_Section):
    """The proxy of the server: one for all deployments there."""

    image: Text = "caddy:2"
    closed_page: ProjectPath | None = None
    trusted_proxies: tuple[Network, ...] = ()


class Preflight(_Section):
    """What each finding of preflight does."""

    dirty: Level = Level.REFUSE
    unpushed: Level = Level.REFUSE
    branch: Level = Level.REFUSE
    development: Level = Level.REFUSE
    build_secret: Level = Level.REFUSE


class AllfastToml(_Section):
    """The whole of `allfast.toml`."""

    app: Name
    compose: Annotated[tuple[ProjectPath, ...], Field(min_length=1)] = ("compose.yaml",)
    default_target: Name | None = None
    keep: Annotated[StrictInt, Field(ge=1, le=100)] = 5
    keep_warm: Duration = timedelta(minutes=10)
    layer_cache: Size = Field(default="2GiB", validate_default=True)
    refactor_files: Annotated[StrictInt, Field(ge=1)] = 200
    refactor_share: Share = 0.4
    dependency_files: tuple[ProjectPath, ...] = ()
    targets: Annotated[dict[Name, Target], Field(min_length=1)]
    services: dict[Text, ServiceSettings] = Field(default_factory=dict)
    preflight: Preflight = Preflight()
    proxy: Proxy = Proxy()


class Config(BaseModel):
    """`allfast.toml` as it was loaded, and where.

    `root` is the Git root (or the folder of allfast.toml where there is no Git), `folder` the folder of allfast.toml:
    all paths in the file are relative to it.
    """

    model_config = ConfigDict(frozen=True)

    file: Path
    folder: Path
    root: Path
    toml: AllfastToml

    @property
    def prefix(self) -> PurePosixPath:
        """The folder of allfast.toml relative to the Git root: "." in most projects."""
        return PurePosixPath(self.folder.relative_to(self.root).as_posix())

    def target_name(self, name: str | None = None) -> str:
        """The target that a command means by `name`; without one, the default or only target. UsageError."""
        names = sorted(self.toml.targets)
        if name is None:
            if self.toml.default_target is not None:
                return self.toml.default_target
            if len(names) == 1:
                return names[0]
            raise UsageError(
                f"{self.file.name} has {len(names)} targets and no default_target",
                hint=f"name one with --target: {', '.join(names)}",
            )
        if name not in self.toml.targets:
            raise UsageError(
                f'there is no target "{name}" in {self.file.name}',
                hint=f"{nearest(name, names)}the targets are: {', '.join(names)}",
            )
        return name

    def target(self, name: str | None = None) -> Target:
        """The target of that name, or the default or only one. UsageError."""
        return self.toml.targets[self.target_name(name)]

    def deployment(self, name: str | None = None) -> str:
        """The deployment name: `app` for the only or default target, `<app>-<target>` for the others."""
        target = self.target_name(name)
        alone = len(self.toml.targets) == 1 or target == self.toml.default_target
        return self.toml.app if alone else f"{self.toml.app}-{target}"

    def compose_files(self, name: str | None = None) -> tuple[str, ...]:
        """The target's Compose files, relative to `folder`."""
        return self.target(name).compose or self.toml.compose

    def extras(self) -> tuple[str, ...]:
        """All listed files that Git ignores, relative to `root`, sorted: what a checkout needs besides the commit."""
        listed = {path for service in self.toml.services.values() for path in service.extra}
        return tuple(sorted(str(self.prefix / path) for path in listed))

    def service(self, name: str) -> ServiceSettings:
        """What `[services.<name>]` says; all defaults where it is not there."""
        return self.toml.services.get(name, ServiceSettings())


def schema() -> dict[str, Any]:
    """The JSON Schema of `allfast.toml`, for editors."""
    return AllfastToml.model_json_schema(by_alias=True)
