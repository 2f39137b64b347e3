"""scenario=weekly: what each week has."""

from typing import Any

import pytest
import torch

from renate.data.batch import Columns
from renate.data.scenarios import Weekly, rotate
from renate.errors import ConfigError, DataError

PLAIN: dict[str, Any] = {
    "weeks": 10,
    "per_week": None,
    "rotation_per_week": 0.0,
    "rotation_weeks": None,
    "new_classes_at": [],
    "mislabelled_weeks": [],
    "mislabelled": 1.0,
}


def images(rows: int = 400, classes: int = 4) -> Columns:
    generator = torch.Generator().manual_seed(0)
    shape = (rows, 1, 6, 6)
    return {
        "inputs": torch.randint(256, shape, generator=generator, dtype=torch.uint8),
        "targets": torch.arange(rows) % classes,
        "row": torch.arange(rows),
    }


def cut(scenario: Weekly, index: int, columns: Columns, part: str = "train") -> Columns:
    return scenario.cut(columns, index, part=part, seed=1, num_classes=4)


def test_weeks_share_no_row_and_leave_none_out() -> None:
    columns = images()
    scenario = Weekly(**PLAIN)
    rows = torch.cat([cut(scenario, index, columns)["row"] for index in range(10)])
    assert torch.equal(rows.sort().values, columns["row"])
    few = Weekly(**PLAIN | {"per_week": 7})
    for index in range(10):
        found = cut(few, index, columns)["row"]
        assert len(found) == 7
        assert torch.isin(found, cut(scenario, index, columns)["row"]).all()


def test_classes_come_in_their_weeks() -> None:
    scenario = Weekly(**PLAIN | {"new_classes_at": [[3, [2]], [6, [0]]]})
    for index in range(10):
        found = set(cut(scenario, index, images())["targets"].tolist())
        assert found == {1, 3} | ({2} if index >= 2 else set()) | ({0} if index >= 5 else set())


def test_images_turn_and_stay_turned() -> None:
    scenario = Weekly(**PLAIN | {"rotation_per_week": 5.0, "rotation_weeks": [3, 6]})
    degrees = [scenario.angle(index) for index in range(10)]
    assert degrees == [0, 0, 5, 10, 15, 20, 20, 20, 20, 20]
    columns = images()
    for index, angle in enumerate(degrees):
        week = cut(scenario, index, columns)
        given = columns["inputs"][week["row"]]
        assert torch.equal(week["inputs"], rotate(given, angle) if angle else given)


def test_a_spoilt_week_has_wrong_labels_of_classes_that_are_there() -> None:
    columns = images()
    settings = {"new_classes_at": [[8, [1]]], "mislabelled_weeks": [4]}
    whole = cut(Weekly(**PLAIN | settings), 3, columns)
    truth = columns["targets"][whole["row"]]
    assert (whole["targets"] != truth).all()
    assert set(whole["targets"].tolist()) == {0, 2, 3}
    half = cut(Weekly(**PLAIN | settings | {"mislabelled": 0.5}), 3, columns)
    assert int((half["targets"] != truth).sum()) == round(len(truth) / 2)
    for index, part in ((3, "test"), (2, "train")):
        week = cut(Weekly(**PLAIN | settings), index, columns, part)
        assert torch.equal(week["targets"], columns["targets"][week["row"]])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"weeks": 0}, "scenario.weeks=0"),
        ({"per_week": 0}, "scenario.per_week=0: expected 1 or more"),
        ({"rotation_weeks": [6, 3]}, "expected the first week and the last"),
        ({"rotation_weeks": [1, 11]}, "scenario.rotation_weeks: 11: expected a week, 1 to 10"),
        ({"new_classes_at": [[3, 2]]}, r"expected a week and the indices of classes, \[\[20"),
        ({"new_classes_at": [[3, [2]], [4, [2]]]}, "week 4, 2: expected indices of classes, each"),
        ({"new_classes_at": [[3, [7]]]}, "class 7: the data have 4 classes, expected 0 to 3"),
        ({"mislabelled_weeks": [0]}, "scenario.mislabelled_weeks: 0: expected a week"),
        ({"mislabelled": 0.0}, "expected a share above 0"),
    ],
)
def test_what_cant_be_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        cut(Weekly(**PLAIN | settings), 3, images())


def test_data_that_dont_fit_are_refused() -> None:
    flat = images() | {"inputs": torch.zeros(400, 5)}
    with pytest.raises(DataError, match="turns images.*scenario.rotation_per_week=0"):
        cut(Weekly(**PLAIN | {"rotation_per_week": 1.0}), 3, flat)
    with pytest.raises(ConfigError, match="what is predicted here has none"):
        Weekly(**PLAIN | {"mislabelled_weeks": [4]}).cut(
            flat, 3, part="train", seed=0, num_classes=0
        )
    alone = {"new_classes_at": [[8, [1, 2, 3]]], "mislabelled_weeks": [4]}
    with pytest.raises(DataError, match="week 4 has one class alone"):
        cut(Weekly(**PLAIN | alone), 3, images())
