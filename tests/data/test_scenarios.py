"""Scenarios against ten-line references."""

from typing import Any

import pytest
import torch

from renate.data.batch import Columns, length
from renate.data.scenarios import (
    IID,
    ClassIncremental,
    NoScenario,
    Permutation,
    Rotation,
    Scenario,
    rotate,
)
from renate.errors import ConfigError, DataError
from renate.metrics import mask_logits


def columns(rows: int = 120, classes: int = 6) -> Columns:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(256, (rows, 1, 6, 6), generator=generator, dtype=torch.uint8)
    return {"inputs": inputs, "targets": torch.arange(rows) % classes, "id": torch.arange(rows)}


def cut(scenario: Scenario, index: int, part: str = "train", seed: int = 0) -> Columns:
    return scenario.cut(columns(), index, part=part, seed=seed, num_classes=6)


def test_no_scenario() -> None:
    assert cut(NoScenario(), 0)["id"].tolist() == list(range(120))
    assert NoScenario().classes(0, seed=0, num_classes=6) is None


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_class_incremental(part: str) -> None:
    scenario = ClassIncremental(chunks=3, groupings=None, shuffle=False)
    for index in range(3):
        chunk = cut(scenario, index, part)
        expected = [i for i in range(120) if i % 6 in (2 * index, 2 * index + 1)]
        assert chunk["id"].tolist() == expected
        assert scenario.classes(index, seed=0, num_classes=6) == [2 * index, 2 * index + 1]


def test_class_order_by_seed() -> None:
    scenario = ClassIncremental(chunks=3, groupings=None, shuffle=True)
    orders = [
        [scenario.classes(i, seed=seed, num_classes=6) for i in range(3)] for seed in range(5)
    ]
    assert all(sorted(sum(order, [])) == list(range(6)) for order in orders)
    assert len({str(order) for order in orders}) > 1
    assert orders[0] == [scenario.classes(i, seed=0, num_classes=6) for i in range(3)]


def test_groupings_and_uneven_chunks() -> None:
    scenario = ClassIncremental(chunks=None, groupings=[[5], [0, 1, 2]], shuffle=False)
    assert scenario.chunks == 2
    assert set(cut(scenario, 1)["targets"].tolist()) == {0, 1, 2}
    targets = torch.tensor([5, 3, 4, 3, 0])
    assert scenario.left_out(targets, list("abcdef")) == [
        "scenario.groupings: no chunk has the labels 'd', 'e': 3 examples of data.train are left "
        "out"
    ]
    (many,) = scenario.left_out(torch.arange(20), range(20))
    assert "no chunk has the labels 3, 4, 6, 7, 8 and 11 more: 16 examples" in many
    all_of_them = ClassIncremental(chunks=None, groupings=[[1], [0]], shuffle=False)
    assert all_of_them.left_out(targets, ["a", "b"]) == []

    uneven = ClassIncremental(chunks=4, groupings=None, shuffle=False)
    assert [uneven.classes(i, seed=0, num_classes=6) for i in range(4)] == [
        [0, 1],
        [2, 3],
        [4],
        [5],
    ]


@pytest.mark.parametrize(
    "scenario",
    [IID(chunks=5), Rotation(5, None, 180, full=False), Permutation(5, full=False)],
    ids=["iid", "rotation", "permutation"],
)
@pytest.mark.parametrize("part", ["train", "val"])
def test_disjoint_chunks_cover_the_data(scenario: Scenario, part: str) -> None:
    ids = [cut(scenario, index, part)["id"].tolist() for index in range(5)]
    assert sorted(sum(ids, [])) == list(range(120))
    assert {len(chunk) for chunk in ids} == {24}
    assert ids == [cut(scenario, index, part)["id"].tolist() for index in range(5)], "repeatable"
    assert ids != [cut(scenario, index, part, seed=1)["id"].tolist() for index in range(5)]
    assert len(cut(scenario, 2, "test")["id"]) == 120, "every chunk is measured on all test data"


@pytest.mark.parametrize("scenario", [Rotation(3, None, 180, full=True), Permutation(3, full=True)])
def test_the_papers_form_keeps_all_data(scenario: Scenario) -> None:
    for index in range(3):
        assert cut(scenario, index)["id"].tolist() == list(range(120))


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_right_angles_are_exact(quarter: int) -> None:
    images = columns()["inputs"]
    assert torch.equal(rotate(images, 90 * quarter), torch.rot90(images, quarter, (2, 3)))


def test_rotation_against_a_reference() -> None:
    """Each output pixel is the bilinear value at its own position, turned back."""
    image = columns()["inputs"][:1].double()
    degrees = 30.0
    angle = torch.deg2rad(torch.tensor(degrees)).item()
    out = rotate(image, degrees)[0, 0]
    cos = torch.cos(torch.tensor(angle)).item()
    sin = torch.sin(torch.tensor(angle)).item()
    for row in range(6):
        for column in range(6):
            y = row - 2.5
            x = column - 2.5
            at_x = cos * x - sin * y + 2.5
            at_y = sin * x + cos * y + 2.5
            left = int(at_x // 1)
            top = int(at_y // 1)
            value = 0.0
            for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                if 0 <= i < 6 and 0 <= j < 6:
                    value += image[0, 0, i, j].item() * (1 - abs(at_y - i)) * (1 - abs(at_x - j))
            assert out[row, column].item() == pytest.approx(value, abs=0.01)


def test_rotation_angles() -> None:
    scenario = Rotation(20, None, 180, full=True)
    angles = [scenario.angle(i, 0) for i in range(20)]
    assert all(0 <= a <= 180 for a in angles)
    assert max(angles) > 120
    assert min(angles) < 60
    given = Rotation(None, [0, 90], 180, full=True)
    assert torch.equal(cut(given, 1)["inputs"], torch.rot90(columns()["inputs"], 1, (2, 3)))


def test_permutation_moves_pixels_and_loses_none() -> None:
    scenario = Permutation(3, full=True)
    original = columns()["inputs"]
    assert torch.equal(cut(scenario, 0)["inputs"], original)
    first = cut(scenario, 1)["inputs"]
    second = cut(scenario, 2)["inputs"]
    assert not torch.equal(first, second)
    assert torch.equal(first.flatten(1).sort(1).values, original.flatten(1).sort(1).values)
    assert torch.equal(cut(scenario, 1, "test")["inputs"], first), "train and test alike"


def test_permutation_is_one_for_all_examples_and_can_be_undone() -> None:
    original = columns()["inputs"].flatten(1)
    moved = cut(Permutation(3, full=True), 2)["inputs"].flatten(1)
    back = [
        next(j for j in range(36) if torch.equal(moved[:, j], original[:, i])) for i in range(36)
    ]
    assert sorted(back) == list(range(36))
    assert torch.equal(moved[:, back], original)


@pytest.mark.parametrize(
    ("make", "index", "text"),
    [
        (
            lambda: ClassIncremental(chunks=7, groupings=None, shuffle=False),
            0,
            "scenario.chunks=7: the data has",
        ),
        (
            lambda: ClassIncremental(chunks=3, groupings=None, shuffle=False),
            3,
            "job.chunk=3: expected 0 to 2",
        ),
        (
            lambda: ClassIncremental(chunks=3, groupings=None, shuffle=False),
            -1,
            "job.chunk=-1: expected 0 to 2",
        ),
        (
            lambda: ClassIncremental(chunks=None, groupings=[[0, 9]], shuffle=False),
            0,
            "from 0 to 5",
        ),
        (
            lambda: ClassIncremental(chunks=None, groupings=[[0], [0]], shuffle=False),
            0,
            "each class at most once",
        ),
        (
            lambda: ClassIncremental(chunks=2, groupings=[[0]], shuffle=False),
            0,
            "either scenario.chunks or",
        ),
        (
            lambda: Rotation(None, None, 180, full=True),
            0,
            "either scenario.chunks or scenario.degrees",
        ),
        (
            lambda: ClassIncremental(chunks=None, groupings=[[0], []], shuffle=False),
            0,
            "expected a chunk or more, each of a class or more",
        ),
        (
            lambda: Rotation(2, None, 400, full=True),
            0,
            "scenario.max_degrees=400: expected above 0 and at most 360",
        ),
        (lambda: IID(chunks=0), 0, "scenario.chunks=0: expected 1 or more"),
    ],
)
def test_messages(make: Any, index: int, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cut(make(), index)
    assert text in str(caught.value)


def test_rotation_needs_images() -> None:
    table = {"inputs": torch.zeros(4, 3), "targets": torch.arange(4)}
    with pytest.raises(
        DataError, match=r"scenario=rotation needs images \[C, H, W\], the inputs are \[3\]"
    ):
        Rotation(2, None, 180, full=True).cut(table, 0, part="train", seed=0, num_classes=4)


def test_a_chunk_without_test_examples() -> None:
    scenario = ClassIncremental(chunks=3, groupings=None, shuffle=False)
    table = columns(rows=4)
    with pytest.raises(
        DataError, match="chunk 2 of 3 has no test examples: data.test lacks its classes"
    ):
        scenario.cut(table, 2, part="test", seed=0, num_classes=6)
    assert length(scenario.cut(table, 2, part="val", seed=0, num_classes=6)) == 0


def test_task_il_masking() -> None:
    logits = torch.tensor([[5.0, 1.0, 4.0, 2.0], [0.0, 9.0, 1.0, 3.0]])
    reference = [max((2, 3), key=lambda c, row=row: float(row[c])) for row in logits]  # type: ignore[misc]
    assert mask_logits(logits, [2, 3]).argmax(1).tolist() == reference == [2, 3]
    assert logits[0, 0] == 5.0, "the logits themselves stay"
