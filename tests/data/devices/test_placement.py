"""Where examples lie and how they travel: the rows are the same whichever way they come.

No GPU is needed: `meta` stands in for a device to be placed on, and a list for a stream of copies.
"""

from typing import Any

import pytest
import torch

from renate.data.batch import Batch, Batches, BatchTransform, Columns
from renate.data.devices.copies import ahead
from renate.data.devices.placement import AUTO, DEVICE, HOST, Bringer, resident
from renate.data.digits import Digits
from renate.data.ragged import Ragged
from renate.errors import ConfigError

CPU = torch.device("cpu")
META = torch.device("meta")
COLUMNS: Columns = {
    "inputs": torch.arange(40, dtype=torch.uint8).reshape(20, 2),
    "targets": torch.arange(20),
}
SIZE = 40 + 160  # bytes of these


@pytest.mark.parametrize(
    ("place", "free", "lies"),
    [
        (AUTO, 4 * SIZE, True),
        (AUTO, 4 * SIZE - 1, False),
        (AUTO, 0, False),
        (HOST, 10**9, False),
        (DEVICE, SIZE, True),
    ],
)
def test_what_fits_lies_on_the_device(place: str, free: int, lies: bool) -> None:
    found = resident(COLUMNS, place, META, lambda device: free)
    assert (found is not None) is lies
    if found is not None:
        assert {name: column.device for name, column in found.items()} == dict.fromkeys(
            COLUMNS, META
        )
        assert found["inputs"].shape == (20, 2)

    assert resident(COLUMNS, place, CPU, lambda device: free) is None, "it lies there already"


def test_what_cannot_lie_there_is_told_where_it_must() -> None:
    with pytest.raises(ConfigError, match=r"take 0.00 GB, meta has 0.00 GB free: data.device=cpu"):
        resident(COLUMNS, DEVICE, META, lambda device: SIZE - 1)

    texts = {"inputs": Ragged.of([[1, 2], [3]]), "targets": torch.arange(2)}
    assert resident(texts, AUTO, META, lambda device: 10**9) is None
    with pytest.raises(ConfigError, match="data.device=device: rows of different lengths"):
        resident(texts, DEVICE, META, lambda device: 10**9)

    with pytest.raises(
        ConfigError, match="data.device=devic: expected auto, cpu, device, did you mean 'device'"
    ):
        Digits(batch_size=4, val_size=0, limit=None, device="devic")


def raws(batches: Batches) -> list[dict[str, list[Any]]]:
    def told(batch: Batch) -> dict[str, list[Any]]:
        assert torch.equal(batch.inputs, batch.raw["inputs"]), "stored and moved are the same rows"
        return {name: column.tolist() for name, column in batch.raw.items()}

    return [told(batch) for batch in batches]


class Way:
    """A stream of copies that notes what it is told, and copies at once."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def send(self, raw: Columns) -> tuple[Columns, int]:
        number = int(raw["targets"][0])
        self.notes.append(f"send {number}")
        return {name: column.clone() for name, column in raw.items()}, number

    def receive(self, moved: Columns, arrival: int) -> None:
        self.notes.append(f"receive {arrival}")


def test_batches_are_the_same_from_host_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(bring: Bringer | None = None, skip: int = 0) -> list[dict[str, list[Any]]]:
        generator = torch.Generator().manual_seed(3)
        batches = Batches(COLUMNS, 6, BatchTransform(), generator)
        batches.bring = bring or batches.bring
        first = raws(batches)
        batches.resume(skip, batches.order)
        return first + raws(batches)

    expected = made()
    lying = Bringer(COLUMNS, HOST, CPU)
    lying.lying = {name: column.clone() for name, column in COLUMNS.items()}
    assert made(lying) == expected
    assert made(lying, skip=2) == [*expected[:4], *made(skip=2)[4:]]
    assert len(made(lying, skip=2)) == 4 + 2

    way = Way()
    monkeypatch.setattr("renate.data.devices.placement.Stream", lambda device: way)
    travelling = Bringer(COLUMNS, HOST, CPU)
    travelling.travels = True
    assert made(travelling) == expected
    assert sum(note.startswith("send") for note in way.notes) == 8
    assert sum(note.startswith("receive") for note in way.notes) == 8


def test_the_next_copy_begins_before_a_batch_is_trained_on() -> None:
    way = Way()
    notes = way.notes
    stored = [{"targets": torch.tensor([number])} for number in range(3)]
    for raw, moved in ahead(stored, way):
        assert moved["targets"] is not raw["targets"]
        assert torch.equal(moved["targets"], raw["targets"])
        notes.append(f"train {int(raw['targets'])}")

    assert notes == [
        "send 0",
        "send 1",
        "receive 0",
        "train 0",
        "send 2",
        "receive 1",
        "train 1",
        "receive 2",
        "train 2",
    ]
    assert list(ahead([], way)) == []
