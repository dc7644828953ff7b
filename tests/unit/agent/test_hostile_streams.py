"""Streams that no laptop of ours would send: each is refused as it should be, and nothing outside of the cache changes.

`make fuzz` takes more of the same.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.agent.ground import Ground
from tests.unit.agent.hostile import NEW, OLD, Maker, Stream, diff_id
from tests.unit.transfer.recipes import encoded, known

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("ground"))


@given(number=st.integers(0, (1 << 48) - 1))
@settings(max_examples=300)
def test_no_stream_does_harm(maker: Maker, ground: Ground, number: int) -> None:
    ground.take(maker.stream(number))


def test_an_honest_stream_comes_through_there(ground: Ground) -> None:
    """Else what is refused there would say little."""
    batches, _, _ = encoded(NEW, [known(OLD)])
    ground.take(Stream("zlib", diff_id(NEW), len(NEW), 0, batches))
    assert ground.layers() == {diff_id(OLD), diff_id(NEW)}


def fuzz(fault: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A short run, with that statement carried out before it."""
    script = (
        "import os, sys, time; from tests import fuzz;"
        "from allfast.agent import layer_cache, layer_files, libzstd, recipe, unpack;"
        f"{fault}; sys.exit(fuzz.main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    argv = [sys.executable, "-c", script, "--streams", "400", *words]
    return subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=ROOT)


def test_a_run_tells_how_many_streams_were_taken() -> None:
    done = fuzz("pass", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("400 streams, from number 1 on; memory at its peak: ")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        pytest.param("unpack.LIMIT = libzstd.LIMIT = 1 << 40", "MemoryError", id="memory without bounds"),
        pytest.param(
            "real = layer_files.hex_of;"
            "layer_files.hex_of = lambda name: name[7:] if name.startswith('sha256:../../../e') else real(name)",
            "outside of the cache",
            id="a file elsewhere",
        ),
        pytest.param("layer_cache.LayerCache.part = layer_cache.LayerCache.whole", "has other bytes", id="unchecked"),
        pytest.param(
            "recipe.Decoder._emit = recipe.Decoder._range = lambda self, *_: self._write(bytes(200_000))",
            "larger than its layer",
            id="more bytes than the layer has",
        ),
        pytest.param("recipe.Decoder._copy = lambda self: self.missing", "AttributeError", id="another exception"),
        pytest.param("recipe.Decoder._copy = lambda self: os.abort()", "died of SIGABRT", id="a crash"),
        pytest.param(
            "fuzz.HANGS = 3; recipe.Decoder._copy = lambda self: time.sleep(99)", "hangs for 3 s", id="without an end"
        ),
    ],
)
def test_a_fault_ends_the_run_and_its_stream_is_told(fault: str, told: str) -> None:
    done = fuzz(fault, "--seed", "1")
    assert done.returncode == 1, done.stdout
    assert told in done.stdout + done.stderr
    number = done.stdout.rpartition('make fuzz ARGS="--seed ')[2].split()[0]
    again = fuzz(fault, "--seed", number, "--streams", "1")
    assert again.returncode == 1, "the same stream, alone"
    assert f"at number {number}: " in again.stdout
