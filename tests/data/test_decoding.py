"""Images decoded by several processes: the same as by one, whatever happens to them."""

import errno
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from renate.data.images import blocks as image_blocks
from renate.data.images import cache as image_cache
from renate.data.images import worker as image_worker
from renate.data.images.decode import Layout
from renate.data.images.worker import Answer, Worker
from renate.data.tables.parquet import Unread, batches, read_parquet
from renate.errors import DataError
from tests.data.scenes import files, load, png, write

BAD = {"bytes": b"no", "path": None}


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """Three processes for the smallest input, in blocks of four; those that were started."""
    started: list[Worker] = []

    class Seen(Worker):
        def __init__(self, path: Any) -> None:
            super().__init__(path)
            started.append(self)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr(image_blocks, "IMAGES_PER_WORKER", 1)
    monkeypatch.setattr(image_blocks, "BLOCK_IMAGES", 4)
    monkeypatch.setattr(image_blocks, "Worker", Seen)
    return started


def grey(count: int, seed: int = 0, size: tuple[int, int] = (5, 4)) -> list[dict[str, Any]]:
    return [png(p) for p in np.random.default_rng(seed).integers(0, 256, (count, *size), np.uint8)]


def colour(count: int, size: tuple[int, int] = (5, 4)) -> list[dict[str, Any]]:
    return [png(p) for p in np.random.default_rng(9).integers(0, 256, (count, *size, 3), np.uint8)]


def save(name: str, images: list[Any], **options: Any) -> str:
    table = pa.table({"image": images, "label": [i % 2 for i in range(len(images))]})
    pq.write_table(table, name, **options)
    return name


def decoded() -> bytes:
    (path,) = Path("cache").glob("*.npy")
    return path.read_bytes()


def left() -> list[str]:
    return sorted(path.name for path in Path("cache").iterdir() if path.name != "hashes.json")


@pytest.mark.parametrize(
    ("images", "options"),
    [
        ([grey(30)], {}),
        ([colour(30)], {}),
        ([grey(29) + colour(1)], {}),
        ([colour(1) + grey(29)], {}),
        ([grey(7), [], grey(1, 1), grey(14, 2) + colour(2) + grey(3, 3)], {}),
        ([grey(9) + grey(9, 1, (7, 3)) + colour(4, (2, 2))], {"image_size": [3, 6]}),
    ],
    ids=["grey", "colour", "colour last", "colour first", "files", "resized"],
)
def test_the_same_as_by_one(
    images: list[list[Any]], options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    names = [save(f"{i}.parquet", part) for i, part in enumerate(images) if part]
    if [] in images:
        pq.write_table(pq.read_table(names[0]).slice(0, 0), "1.parquet")
        names.insert(1, "1.parquet")
    load(files(names, **options))
    alone = decoded()
    next(Path("cache").glob("*.npy")).unlink()

    started = request.getfixturevalue("several")
    inputs = load(files(names, **options)).train["inputs"]
    assert len(started) >= 3
    assert decoded() == alone
    assert len(inputs) == sum(map(len, images))


def test_small_inputs_stay_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_blocks, "Worker", lambda path: pytest.fail("a process was started"))
    load(files(save("a.parquet", grey(20))))


@pytest.mark.parametrize(
    ("wrong", "row"),
    [
        ({0: BAD}, 0),
        ({39: BAD}, 39),
        ({38: BAD, 3: BAD, 21: BAD}, 3),
        ({2: BAD, 1: colour(1)[0]}, 2),
        ({7: BAD}, 7),
    ],
)
def test_the_first_bad_row_is_named(several: list[Worker], wrong: dict[int, Any], row: int) -> None:
    images = grey(40)
    for place, image in wrong.items():
        images[place] = image
    names = [save("a.parquet", images[:25]), save("b.parquet", images[25:])]
    where = (
        f"a.parquet: column 'image': row {row}"
        if row < 25
        else f"b.parquet: column 'image': row {row - 25}"
    )
    with pytest.raises(DataError, match=f"^{where} is no image that Pillow can read"):
        load(files(names))
    assert left() == []
    assert all(worker.process.returncode is not None for worker in several)


def test_the_first_bad_row_is_named_though_a_later_one_is_met_before(several: list[Worker]) -> None:
    slow = png(np.random.default_rng(0).integers(0, 256, (1500, 1500), np.uint8))
    images = [*[slow] * 3, BAD, BAD, *grey(3)]
    with pytest.raises(DataError, match="row 3 is no image"):
        load(files(save("a.parquet", images), image_size=[4, 4]))


def test_several_sizes(several: list[Worker]) -> None:
    with pytest.raises(
        DataError, match="row 30 is 4×5 pixels, the first image 5×4: data.image_size"
    ):
        load(files(save("a.parquet", grey(30) + grey(3, size=(4, 5)))))


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from renate.data.images import blocks as image_blocks, cache as image_cache
from tests.data.scenes import files
os.sched_getaffinity = lambda _: {{0, 1}}
image_blocks.IMAGES_PER_WORKER, image_blocks.BLOCK_IMAGES, image_cache.EVERY = 1, 4, 0
source = files("a.parquet")
source.show = lambda done, total, text: os.kill(os.getpid(), signal.SIGKILL)
source.load(seed=0)
"""


def test_a_killed_run_leaves_nothing_that_counts() -> None:
    save("a.parquet", grey(40))
    code = KILLED.format(root=str(Path(__file__).parents[2]))
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    (part,) = Path("cache").glob(".*.tmp")
    assert not list(Path("cache").glob("*.npy"))

    load(files())
    assert part.exists(), "it might be another run's"

    # A worker of the killed run may still be writing its last block, which makes the file young
    for _ in range(50):
        next(Path("cache").glob("*.npy")).unlink()
        os.utime(part, (1, 1))
        load(files())
        if not part.exists():
            break
        time.sleep(0.1)

    assert not part.exists()
    assert len(left()) == 1


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="of Linux")
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save("a.parquet", grey(8))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        DataError,
        match="^cache: the decoded images can't be kept there .No space left on device.*room",
    ):
        load(files())
    assert left() == []


def test_a_disk_that_is_full_later(several: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on file systems that can't reserve room: a process meets it."""
    save("a.parquet", grey(8))
    monkeypatch.setattr(
        Worker, "receive", lambda self: Answer("unwritten", 0, "No space left on device")
    )
    with pytest.raises(DataError, match="^cache: .*No space left on device"):
        load(files())
    assert left() == []


def test_what_cannot_be_written_is_an_answer() -> None:
    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    layout = Layout("L", 5, 4, False)
    with Full("x", "w") as file:
        answer = image_worker.write(file, image_worker.Block(3, [grey(1)[0]["bytes"]]), layout, 0)
    assert answer == Answer("unwritten", 3, "No space left on device")


def test_a_folder_that_cannot_be_made() -> None:
    save("a.parquet", grey(8))
    Path("cache").write_text("a file")
    with pytest.raises(DataError, match="^cache: the decoded images can't be kept there"):
        load(files())


def test_progress(several: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "EVERY", 0)
    told: list[tuple[int, int, str, threading.Thread]] = []
    source = files(save("a.parquet", grey(37) + colour(3)))
    source.show = lambda done, total, text: told.append(
        (done, total, text, threading.current_thread())
    )
    load(source)
    done = [line[0] for line in told]
    assert done == sorted(set(done)), "it never goes back, even where colour makes all begin anew"
    assert len(done) > 3
    assert done[-1] == 40
    assert {line[1:] for line in told} == {(40, "decoding images", threading.current_thread())}
    told.clear()
    load(source)
    assert told == [], "nothing is decoded"


def test_what_progress_raises_is_no_error_of_the_disk() -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError("nobody listens")

    source = files(save("a.parquet", grey(4)))
    source.show = broken
    with pytest.raises(BrokenPipeError):
        load(source)
    assert left() == []


def test_a_process_that_dies(several: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_worker, "START", "import sys; sys.exit(3)")
    with pytest.raises(
        DataError, match="images .* the process that decodes them has ended .exit code .*memory"
    ):
        load(files(save("a.parquet", grey(40))))
    assert left() == []


def test_where_no_process_may_be_started(
    several: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    assert len(load(files(save("a.parquet", grey(40)))).train["inputs"]) == 40
    assert not several


def test_where_each_interpreter_prints_when_it_starts(
    several: list[Worker], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('hello')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert len(load(files(save("a.parquet", grey(40)))).train["inputs"]) == 40
    assert len(several) == 3


def test_in_a_daemonic_process(several: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    assert len(load(files(save("a.parquet", grey(40)))).train["inputs"]) == 40
    assert len(several) == 3


def test_two_at_once(several: list[Worker]) -> None:
    save("a.parquet", grey(100))
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: load(files()).train["inputs"], range(2))
    assert torch.equal(one, other)
    assert len(left()) == 1


def test_a_file_that_is_named_twice() -> None:
    save("a.parquet", grey(4))
    data = load(files(["a.parquet", "a.parquet"]))
    assert torch.equal(data.train["inputs"], load(files("a.parquet")).train["inputs"])
    assert data.train["targets"].tolist() == [0, 1] * 2
    assert "data.train: a.parquet is named more than once: read once" in data.notes


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("plain", [True, False])
def test_images_that_are_not_there(statistics: bool, plain: bool) -> None:
    images = [image["bytes"] for image in grey(4)] if plain else grey(4)
    save("a.parquet", [*images, None, None], write_statistics=statistics)
    with pytest.raises(
        DataError, match="a.parquet: column 'image' has 2 empty values: fill them or drop the rows"
    ):
        load(files())


def test_an_image_is_no_label() -> None:
    write("a.parquet", {"x": [1.0, 2.0], "label": [b"a", b"b"]})
    with pytest.raises(DataError, match="column 'label' is binary, a target is a number"):
        load(files())
    write("a.parquet", {"x": [1.0, 2.0], "label": [b"a", None]})
    with pytest.raises(DataError, match="column 'label' has 1 empty values"):
        load(files())


def test_decoded_images_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    save("a.parquet", grey(8))
    first = load(files())
    monkeypatch.setattr(Unread, "_opened", lambda self: pytest.fail("read again"))
    again = load(files())
    assert torch.equal(first.train["inputs"], again.train["inputs"])
    assert torch.equal(first.train["targets"], again.train["targets"])


def test_labels_and_images_are_of_one_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is replaced between the two would give images the labels of others."""
    save("a.parquet", grey(8))
    read = read_parquet("a.parquet", "a.parquet")
    for change in (lambda: save("a.parquet", grey(8, 1)), Path("a.parquet").unlink):
        change()
        with pytest.raises(
            DataError, match="a.parquet: it has changed while it was read: start again"
        ):
            list(batches(read.column("image"), 4))


def test_a_damaged_column_is_told() -> None:
    save("a.parquet", grey(400), compression="snappy")
    content = bytearray(Path("a.parquet").read_bytes())
    content[20:1000] = bytes(980)
    Path("a.parquet").write_bytes(content)
    with pytest.raises(DataError, match="^a.parquet: not readable as parquet: "):
        load(files())


def test_names_with_points_and_other_columns() -> None:
    images = grey(4)
    write("a.parquet", {"image": images, "image.size": [1.0, 2, 3, 4], "label": [0, 1, 0, 1]})
    assert load(files(inputs=["image"])).input_shape == (1, 5, 4)
    assert load(files(inputs=["image.size"])).train["inputs"].flatten().tolist() == [1, 2, 3, 4]
    write("a.parquet", {"image": images, "size": [1.0, 2, 3, 4], "label": [0, 1, 0, 1]})
    with pytest.raises(
        DataError, match="column 'image' holds images: data.inputs=.'image'. uses it alone"
    ):
        load(files())


def modules(code: str) -> set[str]:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); {code}; "
        "print(*sys.modules)"
    )
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_a_process_that_decodes_loads_neither_torch_nor_numpy() -> None:
    code = (
        "from renate.data.images.decode import open_image; import renate.data.images.worker; "
        "open_image(open('a', 'rb').read(), None)"
    )
    Path("a").write_bytes(grey(1)[0]["bytes"])
    assert not {"torch", "numpy", "pyarrow"} & modules(code)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_loading_loads_no_pandas(name: str) -> None:
    code = f"from tests.data.scenes import files; files({name!r}).load(seed=0)"
    save("a.parquet", grey(4))
    write(
        "a.csv", {"x": [1.5, 2.5, 3.0, 4.0], "whole": [1, 2, 3, 4], "label": ["a", "b", "a", "b"]}
    )
    load(files(name))
    found = modules(code)
    assert "pandas" not in found
    assert name == "a.csv" or not {"pyarrow.compute", "PIL.Image"} & found - modules(
        "import tests.data.scenes"
    )


def test_an_image_of_the_worst_kind_takes_one_block(
    several: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small when encoded, large when decoded: a block is bounded by both."""
    monkeypatch.setattr(image_blocks, "BLOCK_BYTES", 4 * 20)
    sizes: list[int] = []
    send = Worker.send
    monkeypatch.setattr(
        Worker,
        "send",
        lambda self, block, *rest: sizes.append(len(block.images)) or send(self, block, *rest),
    )
    save("a.parquet", grey(40, size=(8, 10)))
    load(files())
    assert set(sizes) == {1}
