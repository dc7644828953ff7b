"""The plan's lines for data services: they start where they are missing, and change with consent only."""

from __future__ import annotations

import re

from allfast.model.facts import Facts, ServiceFacts, Wishes
from allfast.model.plan import DataPlan, Finding
from allfast.model.service import Kind, Service
from allfast.planning.containers import containers_of, replicas
from allfast.planning.recorded import state

# Images whose data folder of one major version cannot be read by another.
DATABASES = (
    *("postgres", "postgresql", "postgis", "pgvector", "timescaledb", "timescaledb-ha"),
    *("mysql", "mariadb", "percona", "mongo", "mongodb", "elasticsearch", "opensearch", "influxdb"),
)


def data(facts: Facts, item: ServiceFacts, wishes: Wishes) -> DataPlan:
    """What happens to a data service: nothing without consent, unless it is not there yet."""
    service = item.service
    there = containers_of(facts, service.name)
    if not there:
        wanted = replicas(service.definition) > 0
        return DataPlan(
            service.name, "start" if wanted else "keep", "it has no container" + ", as wanted" * (not wanted)
        )
    change = _change(facts, service)
    if change and wishes.data:
        gap = "a gap of some seconds while it restarts; a rollback does not undo it"
        return DataPlan(service.name, "recreate", change, gap)
    stopped = next((c for c in there if c.state != "running"), None)
    if stopped is not None:
        waits = f"; {change}: not without --data" if change else ""
        return DataPlan(service.name, "start", state(stopped) + waits)
    if change:
        return DataPlan(service.name, "leave", f"{change}: not without --data")
    foreign = not all(c.settings for c in there)
    return DataPlan(
        service.name, "keep", "it was started by other means; allfast leaves it as it is" if foreign else "unchanged"
    )


def makes_container(facts: Facts, line: DataPlan) -> bool:
    """Whether the data service gets a new container."""
    return line.action == "recreate" or (line.action == "start" and not containers_of(facts, line.service))


def _change(facts: Facts, service: Service) -> str:
    """What a re-creation would change; empty where nothing, or where allfast did not make the container."""
    if all(c.settings in ("", service.settings) for c in containers_of(facts, service.name)):
        return ""
    before = _image_before(facts, service)
    return f"{before} -> {service.image}" if before and before != service.image else "its settings change"


def findings(facts: Facts, plans: tuple[DataPlan, ...]) -> tuple[Finding, ...]:
    """What is dangerous or wrong about the data services."""
    found = []
    for line in plans:
        item = facts.get(line.service)
        if item is not None:
            found += [*_major_version(facts, line, item.service), *_sick(facts, line)]
            found += _built(item.service)
    return (*found, *_became_release(facts))


def _major_version(facts: Facts, line: DataPlan, service: Service) -> list[Finding]:
    """A known database that would come up with another major version on its old data."""
    old, new = _image_before(facts, service), service.image
    if not makes_container(facts, line) or not database(old) or old == new:
        return []
    if database(old) != database(new):
        what = "another database"
    elif not major(old) or not major(new):
        what = "perhaps another major version"
    elif major(old) != major(new):
        what = "another major version"
    else:
        return []
    text = f"{line.service}: {old} -> {new} is {what} on the same data folder"
    hint = 'dump and restore the data, or go on with --force "REASON" if the new version reads the old folder'
    return [Finding("database", "refuse", text, hint)]


def _sick(facts: Facts, line: DataPlan) -> list[Finding]:
    """A data service that is kept although it is not well: a deploy does not mend it, but must not hide it."""
    sick = [c for c in containers_of(facts, line.service) if c.state == "running" and c.health == "unhealthy"]
    hint = f"allfast logs {line.service}"
    return [Finding("health", "warn", f"{line.service}: {c.name} is unhealthy", hint) for c in sick]


def _built(service: Service) -> list[Finding]:
    if service.build is None:
        return []
    text = (
        f"{service.name} is a data service, and its image would have to be built: allfast builds release services only"
    )
    hint = f"give {service.name} an `image:` that exists, or set services.{service.name}.kind to release"
    return [Finding("kind", "refuse", text, hint, forceable=False)]


def _became_release(facts: Facts) -> list[Finding]:
    """Release services get fresh anonymous volumes: what was data until now would lose them without a word."""
    known = _data_by_ledger(facts)
    found = []
    for item in facts.of_kind(Kind.RELEASE, Kind.ONE_SHOT):
        name = item.service.name
        if name in known and containers_of(facts, name):
            text = f"{name} was a data service and is now part of the release ({item.service.kind_reason})"
            hint = f'set services.{name}.kind to data, or go on with --force "REASON" if its data may be given up'
            found.append(Finding("kind", "refuse", f"{text}: its anonymous volumes would be given up", hint))
    return found


def left_behind(facts: Facts) -> tuple[str, ...]:
    """A note for each data service that the Compose files have no more: nothing of it is ever removed."""
    why = "is data and no longer in the Compose files: its container and its volumes stay"
    left = [name for name in _data_by_ledger(facts) if facts.get(name) is None and containers_of(facts, name)]
    return tuple(f"{name} {why}" for name in left)


def _data_by_ledger(facts: Facts) -> list[str]:
    """Services that were data when they were last applied; the live release may have taken some over since."""
    live = facts.server.live
    return [d.name for d in facts.server.data if live is None or live.service(d.name) is None]


def database(image: str) -> str:
    """The name of a known database in an image reference, else an empty string."""
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return name if name in DATABASES else ""


def major(image: str) -> str:
    """The major version in a reference's tag (`17.2-alpine` -> "17", `2.14-pg15` -> "15"); "" where it has none."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    number = re.search(r"pg(\d+)", tag) or re.match(r"v?(\d+)", tag)
    return number[1] if number else ""


def _image_before(facts: Facts, service: Service) -> str:
    """The reference of the image that the data was last used with, "" where it is not known.

    What the engine knows of the container comes first: the ledger knows only what allfast itself has applied.
    """
    recorded = next((d.image for d in facts.server.data if d.name == service.name), "")
    ids = {c.image for c in containers_of(facts, service.name)}
    references = sorted(reference for reference, image in facts.server.image_refs if image in ids)
    return next((r for r in (service.image, recorded) if r in references), next(iter(references), recorded))
