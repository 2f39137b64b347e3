"""What names no files, files that don't go together, links that lead back."""

import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from renate.data.images.sources.listing import files_below, images_below
from renate.data.mapped.rows import mapped_empty
from renate.errors import ConfigError, DataError, JobError
from renate.jobs.predicting.answer_table import check_outputs
from tests.data.scenes import TABLE, files, load, write

pytestmark = pytest.mark.usefixtures("workdir")
EXPECTED = "expected a path, glob or URL, a list of such, or name -> either"


@pytest.mark.parametrize("test", [0, 0.1, True, 5, [], "", [0.1], {"new": 0.2}, {"new": None}])
def test_a_test_set_that_names_no_files(test: Any) -> None:
    write("a.parquet", TABLE)
    said = re.escape(f"data.test={test}: {EXPECTED}")
    with pytest.raises(ConfigError, match=said):
        load(files(test=test))
    with pytest.raises(ConfigError, match=said):
        files_below("photos", test)


def test_a_share_is_told_where_it_goes() -> None:
    write("a.parquet", TABLE)
    with pytest.raises(ConfigError, match=r"data\.test_size=0\.1 with data\.test=null holds"):
        load(files(test=0.1))
    with pytest.raises(ConfigError, match=re.escape(f"data.train=7: {EXPECTED}") + "$"):
        load(files(train=7))


@pytest.mark.parametrize("max_ram", [None, 1])
def test_whole_numbers_that_the_fractions_of_another_file_cannot_hold(max_ram: Any) -> None:
    big = [2**60, 2**60 + 2**40, 2**60 + 2**41, 2**60 + 2**42]
    write("1.parquet", {"x": pa.array(big), "label": [0, 1, 0, 1]})
    write("2.parquet", {"x": [0.5, 1.5, 2.5, 3.5], "label": [0, 1, 0, 1]})
    with pytest.raises(DataError, match=r"1\.parquet: column 'x' is int64, in another .* double"):
        load(files(["1.parquet", "2.parquet"], max_ram=max_ram, standardize=False))


def test_links_that_lead_back_are_not_followed() -> None:
    for name in ("cat", "dog"):
        Path("photos", name).mkdir(parents=True)
        Path("photos", name, "1.png").touch()
    Path("photos/cat/up").symlink_to("..")
    Path("photos/cat/here").symlink_to(".")
    Path("photos/cat/dog").symlink_to("../dog")
    Path("photos/dog/cat").symlink_to("../cat")
    found = images_below("photos", "data.train")
    assert found == ["cat/1.png", "cat/dog/1.png", "dog/1.png", "dog/cat/1.png"]


def test_who_is_killed_while_room_is_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    made = os.posix_fallocate

    def look(file: int, begin: int, size: int) -> None:
        seen.append(list(Path("cache").iterdir()))
        made(file, begin, size)

    monkeypatch.setattr(os, "posix_fallocate", look)
    column = mapped_empty(Path("cache"), 10, (3,), torch.float32)
    assert seen == [[]]
    assert not column.any()


def test_outputs_that_say_nothing_are_told() -> None:
    check_outputs(torch.tensor([[1.0, -torch.inf]]))
    for odd in (torch.nan, torch.inf):
        with pytest.raises(JobError, match=r"^row 6 of the inputs \(the first is 0\): the model's"):
            check_outputs(torch.tensor([[0.0, 1.0], [odd, 0.0]]), first=5)
