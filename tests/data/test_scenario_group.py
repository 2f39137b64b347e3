"""Every option of conf/scenario keeps to the contract; the sorted and the blurry ones besides to
references of their own.
"""

import colorsys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from renate.build import build
from renate.data.batch import Columns, length
from renate.data.scenarios import (
    IID,
    BlurryClassIncremental,
    DataIncremental,
    FeatureSorting,
    HueShift,
    Scenario,
)
from renate.data.scenarios.sorting import softly_sorted
from renate.data.table import File, Table
from renate.errors import ConfigError, DataError
from renate.launchers.composing.conf import options_of

OPTIONS = sorted(options_of("scenario"))
ROWS = 200
CLASSES = 10


# What an option needs to be said
SAID: dict[str, dict[str, Any]] = {"data_incremental": {"domains": ["a", "b", "c"]}}


def columns() -> Columns:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (ROWS, 3, 4, 4), generator=generator, dtype=torch.uint8)
    targets = torch.randperm(ROWS, generator=generator) % CLASSES
    return {"inputs": images, "targets": targets, "id": torch.arange(ROWS)}


def made(option: str, **given: Any) -> Scenario:
    node = OmegaConf.to_container(OmegaConf.load(options_of("scenario")[option]))
    assert isinstance(node, dict)
    scenario: Scenario = build({**node, **SAID.get(option, {}), **given}, "scenario")
    return scenario


def marked(scenario: Scenario) -> Columns:
    """Rows as a source gives them to a scenario: of three files, each of a moment of its own."""
    whole = columns()
    rows = ROWS // 4
    files = [File("x/a.csv", rows, "1"), File("x/b.csv", rows, "2"), File("c/0.csv", 2 * rows, "3")]
    table = Table(
        whole["inputs"],
        whole["targets"].numpy(),
        files=tuple(files),
        times=np.random.default_rng(0).permutation(ROWS),
        held_by=("time", "when", "date"),
    )
    scenario.ends(table)
    return whole | scenario.marks(table, "data.train")


def ids(scenario: Scenario, part: str = "train", seed: int = 0) -> list[list[int]]:
    chunks = range(scenario.chunks)
    return [
        scenario.cut(marked(scenario), i, part=part, seed=seed, num_classes=CLASSES)["id"].tolist()
        for i in chunks
    ]


@pytest.mark.parametrize("option", OPTIONS)
class TestEveryScenario:
    def test_chunks_are_a_partition_of_the_training_data(self, option: str) -> None:
        parts = ids(made(option))
        assert sorted(row for part in parts for row in part) == list(range(ROWS))
        assert all(parts)

    def test_the_seed_alone_says_which(self, option: str) -> None:
        for part in ("train", "val", "test"):
            assert ids(made(option), part) == ids(made(option), part)

    def test_every_chunk_has_something_to_be_measured_on(self, option: str) -> None:
        assert all(ids(made(option), "test"))

    def test_columns_keep_their_names_kinds_and_rows_together(self, option: str) -> None:
        whole = columns()
        scenario = made(option)
        chunk = scenario.cut(marked(scenario), 0, part="train", seed=0, num_classes=CLASSES)
        assert chunk.keys() == whole.keys()
        assert chunk["inputs"].dtype == torch.uint8
        assert chunk["inputs"].shape[1:] == (3, 4, 4)
        assert torch.equal(chunk["targets"], whole["targets"][chunk["id"]])
        assert length(chunk) == len(chunk["inputs"])

    def test_there_is_no_further_chunk(self, option: str) -> None:
        scenario = made(option)
        with pytest.raises(ConfigError, match="expected 0 to"):
            scenario.cut(columns(), scenario.chunks, part="train", seed=0, num_classes=CLASSES)


def renates(scores: list[float], randomness: float, seed: int) -> list[int]:
    """Its rule, written down from reference/renate.md."""
    order = [row for _, row in sorted(zip(scores, range(len(scores)), strict=True))]
    generator = np.random.RandomState(seed)
    for _ in range(int(randomness * len(order) / 2)):
        one, other = generator.randint(len(order), size=2)
        order[one], order[other] = order[other], order[one]
    return order


@pytest.mark.parametrize("randomness", [0.0, 0.3, 1.0])
def test_sorting_is_renates_draw_for_draw(randomness: float) -> None:
    scores = [float(value) for value in np.random.default_rng(1).integers(0, 20, 50)]
    ours = softly_sorted(np.array(scores), randomness, 7)
    assert ours.tolist() == renates(scores, randomness, 7)
    assert sorted(ours.tolist()) == list(range(50))


def test_features_rise_from_chunk_to_chunk() -> None:
    scenario = FeatureSorting(chunks=4, feature=1, randomness=0.0)
    means = columns()["inputs"][:, 1].double().mean((1, 2))
    for part in ("train", "test"):
        chunks = [means[rows] for rows in ids(scenario, part)]
        ends = [(float(each.min()), float(each.max())) for each in chunks]
        assert all(before[1] <= after[0] for before, after in pairwise(ends))

    swapped = FeatureSorting(chunks=4, feature=1, randomness=0.5)
    moved = sum(len({*a} - {*b}) for a, b in zip(ids(scenario), ids(swapped), strict=True))
    assert 0 < moved < ROWS / 2


def test_chunks_may_lack_validation_data() -> None:
    few = {name: column[:3] for name, column in columns().items()}
    scenario = FeatureSorting(chunks=4, feature=1, randomness=0.5)
    cut = [scenario.cut(few, n, part="val", seed=0, num_classes=4) for n in range(4)]
    assert [len(part["targets"]) for part in cut] == [1, 1, 1, 0]


def test_a_feature_of_several_inputs_has_a_name() -> None:
    age = torch.tensor([30.0, 10.0, 20.0, 40.0])
    mapping = {"inputs.age": age, "inputs.size": torch.rand(4), "targets": torch.arange(4)}
    scenario = FeatureSorting(chunks=2, feature="age", randomness=0.0)
    chunk = scenario.cut(mapping, 0, part="train", seed=0, num_classes=4)
    assert chunk["inputs.age"].tolist() == [10.0, 20.0]
    with pytest.raises(DataError, match="no input of that name .*, did you mean 'age'"):
        FeatureSorting(2, "ages", 0.0).cut(mapping, 0, part="train", seed=0, num_classes=4)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_hues_rise_from_chunk_to_chunk(kind: torch.dtype) -> None:
    """Images of one hue that most of their pixels have, in bytes and in [0, 1]."""
    hues = np.random.default_rng(0).permutation(24) / 24
    pixels = torch.tensor([colorsys.hsv_to_rgb(hue, 1, 1) for hue in hues])
    images = pixels[:, :, None, None].repeat(1, 1, 4, 4)
    images[:, :, 0, 0] = torch.tensor([1.0, 0.0, 0.0])
    if kind == torch.uint8:
        images = (images * 255).round().to(torch.uint8)
    data = {"inputs": images, "targets": torch.zeros(24, dtype=torch.int64), "id": torch.arange(24)}
    scenario = HueShift(chunks=3, randomness=0.0)
    found = [
        scenario.cut(data, i, part="train", seed=0, num_classes=1)["id"].numpy() for i in range(3)
    ]
    expected = np.array_split(np.argsort(hues), 3)
    assert [sorted(each) for each in found] == [sorted(each) for each in expected]


def test_a_blurry_chunk_has_a_few_of_all_others() -> None:
    scenario = BlurryClassIncremental(chunks=5, groupings=None, shuffle=False, blur=0.2)
    targets = columns()["targets"]
    for chunk, rows in enumerate(ids(scenario)):
        counts = torch.bincount(targets[rows], minlength=CLASSES)
        own = [2 * chunk, 2 * chunk + 1]
        assert counts[own].tolist() == [16, 16], "20 examples a class, of which a fifth went away"
        others = [int(counts[label]) for label in range(CLASSES) if label not in own]
        assert others == [1] * 8
        assert scenario.classes(chunk, seed=0, num_classes=CLASSES) == own

    for chunk, rows in enumerate(ids(scenario, "test")):
        assert {*targets[rows].tolist()} == {2 * chunk, 2 * chunk + 1}
    sharp = BlurryClassIncremental(chunks=5, groupings=None, shuffle=False, blur=0.0)
    assert ids(sharp) == ids(made("class_incremental"))
    assert ids(scenario) != ids(scenario, seed=1)


def test_a_domain_is_a_file_or_a_folder_of_files() -> None:
    grouped = DataIncremental(domains=None, groupings=[["c"], ["b", "a"]])
    assert ids(grouped) == [[*range(100, 200)], [*range(100)]]
    assert grouped.notes == []

    subset = DataIncremental(domains=["b"], groupings=None)
    assert ids(subset) == [[*range(50, 100)]]
    assert subset.notes[0].startswith("scenario: 150 examples of data.train are of no domain (")
    assert subset.notes[0].endswith(".csv), and left out")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataIncremental(None, None), "give either scenario.domains"),
        (lambda: DataIncremental(["a", "a"], None), "each at most once"),
        (lambda: DataIncremental(None, [["a"], []]), "expected a domain or more"),
        (
            lambda: ids(DataIncremental(["a", "bb"], None)),
            "data.train: no row of the domain 'bb': no file .*, did you mean 'b'",
        ),
        (lambda: ids(DataIncremental(["x", "a"], None)), "x/a.csv is of the domains x and a"),
        (
            lambda: DataIncremental(["a"], None).marks(
                Table(torch.zeros(2, 1), np.zeros(2)), "data.train"
            ),
            "data.train: scenario=data_incremental cuts by file, and these rows come from none",
        ),
        (lambda: FeatureSorting(2, 0, 1.5), "scenario.randomness=1.5: expected 0 to 1"),
        (lambda: ids(FeatureSorting(2, 7, 0.0)), "scenario.feature=7: an example has 3 features"),
        (lambda: ids(FeatureSorting(500, 0, 0.0)), "200 examples for scenario.chunks=500"),
        (lambda: ids(IID(500)), "200 examples for scenario.chunks=500"),
        (lambda: BlurryClassIncremental(2, None, False, 1.0), "scenario.blur=1.0: expected"),
        (lambda: BlurryClassIncremental(1, None, False, 0.1), "one chunk has no others"),
        (
            lambda: HueShift(2, 0.0).cut(
                {"inputs": torch.rand(4, 1, 2, 2), "targets": torch.zeros(4)},
                0,
                part="train",
                seed=0,
                num_classes=1,
            ),
            r"needs images \[3, H, W\], the inputs are \[1, 2, 2\]",
        ),
        (
            lambda: HueShift(2, 0.0).cut(
                {"inputs": 255 * torch.ones(4, 3, 2, 2), "targets": torch.zeros(4)},
                0,
                part="train",
                seed=0,
                num_classes=1,
            ),
            "in bytes, or from 0 to 1; the inputs are float32 from 255 to 255",
        ),
    ],
)
def test_what_cant_be_right(make: Any, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        make()
