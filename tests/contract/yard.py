"""Images made for one test in a local engine, and shipments of them."""

import subprocess
import uuid
from pathlib import Path
from typing import Any

from allfast.events import Event, Shipped
from allfast.images.cargo import Cargo
from allfast.images.local_engine import LocalEngine
from allfast.images.ship import Shipment, Shipper
from allfast.transfer.index import LayerIndex
from allfast.transfer.known import KnownLayers
from tests.contract.doors import LABELS, Door
from tests.unit.transfer.streams import config_of, layout

AMD64 = "linux/amd64"


class Yard:
    """Images made for one test in one local engine, and shipments of them."""

    def __init__(self, local: LocalEngine, folder: Path) -> None:
        self.local = local
        self.folder = folder
        self.name = f"yard-{uuid.uuid4().hex[:8]}"
        self.events: list[Event] = []
        self.index = LayerIndex(folder / "layers")

    def image(
        self,
        text: str,
        *,
        base: str = "python:3.13-slim",
        platform: str = AMD64,
        data: bytes = b"",
        apart: bool = False,
        provenance: bool = False,
        compression: str = "",
    ) -> str:
        """Build an image of the deployment's over `base`; its local id.

        One layer has a text and data, or two have one of them each (`apart`). All layers are stored as the engine likes
        it, or in one `compression` (containerd store only).
        """
        context = self.folder / "context"
        context.mkdir(exist_ok=True)
        (context / "text").write_text(text)
        (context / "data").write_bytes(data)
        layers = ["data", "text"] if apart else ["text data" if data else "text"]
        copies = "".join(f"COPY {files} /{self.name}/\n" for files in layers)
        (context / "Dockerfile").write_text(f"FROM {base}\n{copies}")
        tag = f"{self.name}:{uuid.uuid4().hex[:8]}"
        to = ["--load", f"--tag={tag}"]
        if compression:
            to = [f"--output=type=image,name={tag},compression={compression},force-compression=true"]
        options = (f"--provenance={str(provenance).lower()}", "--builder", self.local.builder(), "--platform", platform)
        labels = [f"--label={key}={value}" for key, value in LABELS.items()]
        self.local.run("buildx", "build", "--quiet", *options, *labels, *to, str(context))
        found = self.local.image(tag)
        assert found is not None
        return found.engine_id

    def of_layers(self, *layers: bytes) -> str:
        """An image of the deployment's, of exactly these layers; its local id."""
        archive = layout(list(layers), config_of(list(layers), config={"Labels": LABELS})).data()
        words = ["docker", "image", "load", "--quiet"]
        done = subprocess.run(words, input=archive, env=dict(self.local.environment), capture_output=True, check=True)
        image = done.stdout.decode().strip().rpartition(" ")[2]
        self.local.run("tag", image, f"{self.name}:{uuid.uuid4().hex[:8]}")
        return image

    def ship(self, door: Door, *cargoes: Cargo, **options: Any) -> Shipment:
        """Ship to a server's engine; the events of this shipment alone are kept."""
        return self.shipper(door, **options).ship(cargoes)

    def shipper(self, door: Door, **options: Any) -> Shipper:
        """What ships to a server's engine; the events of this shipment alone are kept."""
        self.events.clear()
        words = {"platform": AMD64, "tag": lambda service: f"{self.name}/{service}:1", **options}
        words = {"index": self.index, "known": KnownLayers(self.folder / "known"), **words}
        return Shipper(door, self.local, self.events.append, **words)

    def shipped(self) -> list[Shipped]:
        return [event for event in self.events if isinstance(event, Shipped)]
