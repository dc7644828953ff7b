"""An image that the engine is given: layers of the cache, as a partial archive (archive.py)."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Set

from allfast.agent import archive
from allfast.agent.engine import Engine, EngineError, first_error
from allfast.agent.layer_cache import LayerCache
from allfast.agent.telling import Telling


def give(
    engine: Engine,
    cache: LayerCache,
    layers: Mapping[str, int],
    documents: Iterable[bytes],
    checked: Set[str],
    telling: Telling,
) -> str:
    """Have the engine load these layers (diff id -> bytes), and the documents after them.

    Returns why it refused, in its own words, and "" where it did not. Layers that are not `checked` are compared with
    their names. Raises `AgentError` bad-digest where one is not what it was, not-found where it is not there.
    """
    total = sum(layers.values())

    def stream() -> Iterator[bytes]:
        done = 0
        given = (
            archive.Layer(layer, size, cache.bytes_of(layer, check=layer not in checked))
            for layer, size in layers.items()
        )
        for chunk in archive.write_layers(given):
            yield chunk
            done += len(chunk)
            telling.at(min(done, total), total)
        yield from documents
        telling.then("unpacking", total)

    try:
        with engine.stream("POST", "/images/load", stream(), quiet="0") as answer:
            return first_error(unpacked(answer.values(), lambda done: telling.at(min(done, total), total)))
    except EngineError as error:
        return error.message


def unpacked(values: Iterable[Mapping[str, Any]], tell: Callable[[int], None]) -> Iterator[Mapping[str, Any]]:
    """The same values of an engine that loads an image; `tell` hears how many bytes of layers it has unpacked by then.

    Engines with a graph driver say so, layer by layer; those with the containerd store do not.
    """
    done: Dict[str, int] = {}
    for value in values:
        current = (value.get("progressDetail") or {}).get("current")
        if isinstance(current, int):
            done[str(value.get("id"))] = current
            tell(sum(done.values()))
        yield value
