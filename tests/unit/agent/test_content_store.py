"""Which of a containerd store's blobs are an image's."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from allfast.agent import content_store, graph_store, image_store
from allfast.agent.content_store import Blob, candidates, children_of, choose, manifest_of
from allfast.agent.engine_store import Unreadable
from allfast.transfer.documents import Wanted, is_wanted
from tests.unit.transfer.streams import config_of, containerd, digest, layer_tar

LAYERS = [layer_tar({"base": b"base"}), layer_tar({"code": b"code"})]
CONFIG = config_of(LAYERS)
DIFF_IDS = [digest(layer) for layer in LAYERS]
DIGEST = "sha256:" + "a" * 64


class Blobs:
    """A store of blobs; `asked` are those that were read."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._blobs = {path.removeprefix("blobs/").replace("/", ":"): data for path, data in files.items()}
        self.asked: list[str] = []

    def read(self, name: str) -> bytes:
        self.asked.append(name)
        if name not in self._blobs:
            raise Unreadable(f"{name} is not here")
        return self._blobs[name]

    def named_by_index(self) -> bytes:
        """The document that `index.json` leads to."""
        return self.read(json.loads(self.read("index.json"))["manifests"][0]["digest"])


def suits(platform: str) -> Callable[[bytes], bool]:
    return lambda config: is_wanted(config, Wanted(tuple(DIFF_IDS), platform))


def test_an_index_leads_to_the_platform_that_is_meant() -> None:
    """Both platforms have the same layers; another one is not here, and an attestation is no image."""
    blobs = Blobs(containerd([(LAYERS, config_of(LAYERS, "arm64")), (LAYERS, CONFIG)]).files)
    for platform, config in (("linux/amd64", CONFIG), ("linux/arm64", config_of(LAYERS, "arm64"))):
        manifest, found = choose(blobs.named_by_index(), blobs.read, DIFF_IDS, suits(platform))
        assert (manifest.config, found) == (digest(config), config)
        assert [blob.digest for blob in manifest.layers] != DIFF_IDS, "they are compressed"
    with pytest.raises(Unreadable, match="no manifest"):
        choose(blobs.named_by_index(), blobs.read, DIFF_IDS, suits("linux/s390x"))


def test_a_manifest_alone_and_indexes_in_an_index_are_found() -> None:
    files = containerd([(LAYERS, CONFIG)], compress=bytes).files
    blobs = Blobs(files)
    index = blobs.named_by_index()
    manifest = blobs.read(children_of(json.loads(index))[0])
    outer = json.dumps({"manifests": [{"digest": digest(index)}]}).encode()
    for document in (manifest, index, outer):
        found, config = choose(document, blobs.read, DIFF_IDS, image_store.any_config)
        assert found.layers == tuple(Blob(digest(layer), len(layer)) for layer in LAYERS)
        assert config == CONFIG


def test_indexes_without_end_are_left() -> None:
    """A digest cannot be in its own document; but what reads them need not know that."""
    index = json.dumps({"manifests": [{"digest": DIGEST}]}).encode()
    with pytest.raises(Unreadable):
        choose(index, lambda _: index, DIFF_IDS, image_store.any_config)


def test_other_layers_are_not_the_image() -> None:
    blobs = Blobs(containerd([(LAYERS, CONFIG)]).files)
    with pytest.raises(Unreadable, match="no manifest"):
        choose(blobs.named_by_index(), blobs.read, DIFF_IDS[:1], image_store.any_config)


@pytest.mark.parametrize(
    "entry",
    [
        {"platform": {"os": "unknown", "architecture": "unknown"}},
        {"platform": {"os": "linux"}, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
    ],
)
def test_attestations_are_not_read(entry: dict[str, Any]) -> None:
    image = {"digest": DIGEST, "platform": {"os": "linux", "architecture": "amd64"}}
    assert children_of({"manifests": [{"digest": DIGEST, **entry}, image]}) == [DIGEST]


@pytest.mark.parametrize("name", ["../../etc/passwd", "sha256:" + "A" * 64, "sha512:" + "a" * 128, "", None])
def test_a_name_that_is_no_digest_makes_no_path(name: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        children_of({"manifests": [{"digest": name}]})
    with pytest.raises((ValueError, TypeError)):
        manifest_of({"config": {"digest": DIGEST}, "layers": [{"digest": name, "size": 1}]})
    with pytest.raises((ValueError, TypeError)):
        manifest_of({"config": {"digest": name}, "layers": []})


def test_the_engines_own_folder_comes_first() -> None:
    folders = candidates("/data/docker")
    assert folders[0] == "/data/docker/containerd/daemon/io.containerd.content.v1.content/blobs"
    assert "/var/lib/containerd/io.containerd.content.v1.content/blobs" in folders


@pytest.mark.parametrize(
    ("info", "content", "graph"),
    [
        ({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}, False, True),
        ({"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}, True, False),
        ({"Driver": "btrfs", "DriverStatus": None}, False, False),
        ({}, False, False),
    ],
)
def test_an_engine_tells_which_store_it_has(info: dict[str, Any], content: bool, graph: bool) -> None:
    assert (content_store.is_of(info), graph_store.is_of(info)) == (content, graph)
