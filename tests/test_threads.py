"""Threads follow the work, or what was asked for; never a clock."""

import pytest
import torch
from torch import nn

from renate.data.batch import Batches, BatchTransform
from renate.errors import ConfigError
from renate.fitting.fit import threads_for
from renate.threads import GRAIN, Threads, Work, asked_by_environment, computing_with, work_of


def batches(inputs: torch.Tensor, size: int) -> Batches:
    return Batches(
        {"inputs": inputs, "targets": torch.zeros(len(inputs), dtype=torch.int64)},
        size,
        BatchTransform(),
    )


def test_products_and_convolutions_are_counted() -> None:
    work = work_of(
        nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 10)), torch.rand(8, 30)
    )
    assert (work.flops, work.elements, work.operations) == (2 * 8 * (30 * 20 + 20 * 10), 8 * 20, 3)
    work = work_of(nn.Conv2d(3, 4, 3, padding=1, bias=False), torch.rand(2, 3, 16, 16))
    assert (work.flops, work.elements, work.operations) == (2 * 2 * 16 * 16 * 3 * 4 * 9, 0, 1)


def test_a_fused_layer_counts_by_its_weights() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    stepwise = work_of(layer, torch.rand(4, 8, 16))
    fused = work_of(layer.eval(), torch.rand(4, 8, 16))
    assert fused.operations == 4
    assert fused.flops == 2 * 4 * 8 * (3 * 16 * 16 + 16 * 16 + 2 * 16 * 32)
    # Which has the attention's own products
    assert fused.flops <= stepwise.flops < 1.3 * fused.flops


def test_large_work_takes_every_thread_small_work_one() -> None:
    threads = Threads(most=8)
    work = Work()
    assert threads.count(work) == 1  # of nothing that is counted
    work.flops = int(6 * GRAIN)
    work.operations = 2
    assert [threads.count(work, times=times) for times in (0.1, 1.0, 2.0, 100.0)] == [1, 3, 6, 8]
    assert [threads.count(work, times=times, updated=0) for times in (0.1, 1.0, 2.0, 100.0)] == [
        1,
        1,
        3,
        8,
    ]
    assert Threads(most=8, fixed=5).count(work) == 5


def test_many_parameters_and_elements_are_work_too() -> None:
    threads = Threads(most=8)
    work = Work()
    work.operations = 1
    assert threads.count(work, updated=10_000_000) == 8
    work.elements = 10_000_000
    assert threads.count(work) == 8


@pytest.mark.parametrize(
    ("variable", "asked", "expected"),
    [
        (None, "auto", None),
        ("3", "auto", 3),
        ("4,2", "auto", 4),
        ("0", "auto", None),
        ("many", "auto", None),
        ("3", 2, 2),
    ],
)
def test_who_decides(
    variable: str | None, asked: object, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert Threads.of({"threads": asked}).fixed == expected
    assert asked_by_environment() in (None, 3, 4)


@pytest.mark.parametrize("asked", [0, -1, True, 1.5, "all", None])
def test_what_is_no_number_of_threads(asked: object) -> None:
    with pytest.raises(
        ConfigError, match=r"trainer\.threads=.*: expected auto, or a number of 1 or more"
    ):
        Threads.of({"threads": asked})


def test_counting_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2))
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    data = batches(torch.rand(64, 8), 32)
    generator = torch.get_rng_state()
    assert threads_for({"threads": "auto"}, model, data) == 1
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert model.training


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with computing_with(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
