"""An image in its engine's store, layer by layer, whichever store that is."""

from __future__ import annotations

import contextlib
from typing import Callable, Iterable, Iterator, List, Union

from allfast.agent import content_store, graph_store
from allfast.agent.content_store import ContentImage, Unpack
from allfast.agent.engine import Engine
from allfast.agent.engine_store import EngineStore, Unreadable
from allfast.agent.graph_store import GraphImage
from allfast.agent.gunzip import MAGIC, gunzip

StoredLayers = Union[GraphImage, ContentImage]


def unpack(head: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of a layer's, where nothing but the standard library is needed for that."""
    if head.startswith(MAGIC):
        return gunzip(chunks)
    return iter(chunks)  # what is compressed in another way has another digest, too


def any_config(_: bytes) -> bool:
    """Where only the layers count, each configuration with these suits."""
    return True


@contextlib.contextmanager
def open_image(
    engine: Engine,
    image: str,
    diff_ids: List[str],
    unpack: Unpack = unpack,
    suits: Callable[[bytes], bool] = any_config,
) -> Iterator[StoredLayers]:
    """The image of that id, with these layers.

    Args:
        unpack: uncompresses layers.
        suits: whether a configuration is the one that is meant, where the store has several with these layers.

    Raises:
        Unreadable: the store is none of those that are known here, or is not as it is known.
    """
    with EngineStore(engine, image) as store:
        if content_store.is_of(store.info):
            yield ContentImage(store, image, diff_ids, unpack, suits)
        elif graph_store.is_of(store.info):
            yield GraphImage(store, image, diff_ids)
        else:
            raise Unreadable(f"no store that is known here: {store.info.get('Driver')}")
