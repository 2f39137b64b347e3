"""What every updater must hold to, whoever wrote it: collected from conf/updater."""

import copy
import gc
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from renate.errors import ConfigError
from renate.jobs.checks.learnable import check_problem
from renate.launchers.composing.conf import CONF
from tests.updaters.small_fit import (
    CRITERIA,
    FEATURES,
    UPDATERS,
    Small,
    assert_same,
    batch_of,
    columns_of,
    memory_of,
    memory_option,
    model_of,
    node_of,
)

PROBLEMS = [*CRITERIA]
# Updaters whose cost or content grows with the number of updates, and why.
GROWS = {
    "joint": "it keeps everything, and trains on it",
    "gem": "a step has a pass over each earlier update's examples",
}
# What doesn't claim to forget less than fine-tuning does when classes come one after another.
FORGETS = {
    "fine_tuning": "it is what others are compared with",
    "ewc": "without examples one head takes new classes for all, as its table has it",
    "lwf": "the same",
    "mas": "the same",
    "si": "the same",
    "pod_er": "it keeps features of examples, and what the head makes of them is lost",
}

every_updater = pytest.mark.parametrize("name", UPDATERS)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Models of a hundred weights aren't worth two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def learns(name: str, problem: str) -> bool:
    small = Small.of(name)
    return not small.updater.problems or problem in small.updater.problems


@every_updater
def test_what_its_files_say(name: str) -> None:
    """Each argument has its value in the YAML alone, the file says what it is for, and the
    docstring where it comes from.
    """
    text = (CONF / "updater" / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    updater = type(Small.of(name).updater)
    parameters = inspect.signature(updater).parameters.values()
    named = {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert named == set(node_of("updater", name)) - {"_target_", "defaults"}
    assert all(p.default is p.empty for p in parameters)
    assert inspect.getdoc(updater)
    assert (CONF / "search_space" / f"{name}.yaml").is_file()
    assert set(updater.problems) <= {p.stem for p in (CONF / "problem").glob("*.yaml")}


@pytest.mark.slow
@every_updater
@pytest.mark.parametrize("problem", PROBLEMS)
def test_it_learns_what_it_declares_and_refuses_the_rest(name: str, problem: str) -> None:
    if not learns(name, problem):
        small = Small.of(name)
        small.updater.problem = Small.of("fine_tuning", problem=problem).updater.problem
        with pytest.raises(ConfigError, match=f"problem={problem}: .* learns .* updater=") as found:
            check_problem(small.updater, small.updater.problem)
        assert "\n" not in str(found.value)
        return

    option = memory_option(name)
    if problem != "classification" and option in ("greedy", "class_balanced"):
        option = "reservoir"  # the others keep as many of each class
    small = Small.of(name, problem=problem, memory=memory_of(option, capacity=20))
    check_problem(small.updater, small.updater.problem)
    for seed in (1, 2):
        losses = small.update(columns_of(seed, problem=problem))
        assert all(torch.tensor(losses).isfinite())
    answers = small.answers(columns_of(3)["inputs"])
    assert answers.shape == (24, 3)
    assert answers.isfinite().all()


def moved(before: dict[str, Any], after: dict[str, Any]) -> bool:
    names = [name for name, tensor in after["model"].items() if tensor.is_floating_point()]
    changed = any(not torch.equal(before["model"][name], after["model"][name]) for name in names)
    state = after["updater"]
    return changed or any(not torch.equal(before["updater"][name], state[name]) for name in state)


def refused(small: Small) -> bool:
    """Whether an updater says in one line that it needs a memory that keeps something."""
    try:
        small.updater.start(small.model, columns_of(1))
    except ConfigError as error:
        text = str(error)
    else:
        return False

    return re.search(r"keeps nothing: memory=\w+$", text) is not None


@pytest.mark.slow
@every_updater
@pytest.mark.parametrize("case", ["empty", "small", "one class", "batch of one"])
def test_odd_cases(name: str, case: str) -> None:
    option = memory_option(name)
    if case == "empty" and option == "reservoir":
        option = "none"
    capacity = 2 if case == "small" else 20
    small = Small.of(name, memory=memory_of(option, capacity=capacity))
    before = small.everything()
    if case == "empty" and refused(small):
        return

    for seed in (1, 2):
        data = columns_of(seed, rows=9)
        if case == "one class":
            data["targets"] = torch.full((9,), seed)
        losses = small.update(data, batch_size=1 if case == "batch of one" else 4)
        assert all(torch.tensor(losses).isfinite())
        assert moved(before, small.everything()) or case == "one class"

    answers = small.answers(columns_of(3)["inputs"])
    assert answers.shape == (24, 3)
    assert answers.isfinite().all()


@every_updater
def test_who_fills_a_memory_says_that_it_replays(name: str) -> None:
    """All but `joint`, which says itself what it needs more than a memory."""
    small = Small.of(name)
    small.update(columns_of(1))
    assert small.updater.replays == (len(small.updater.memory) > 0 and name != "joint")


@pytest.mark.slow
@every_updater
def test_what_an_update_leaves_is_all_that_the_next_one_needs(name: str) -> None:
    small = Small.of(name)
    small.update(columns_of(1))
    saved = small.everything()
    first = small.update(columns_of(2))

    torch.manual_seed(99)
    other = Small.of(name)
    other.become(saved)
    assert_same(other.everything(), saved)
    assert other.update(columns_of(2)) == first
    assert_same(other.everything(), small.everything())
    inputs = columns_of(3)["inputs"]
    assert torch.equal(small.answers(inputs), other.answers(inputs))


@every_updater
def test_an_interrupted_update_goes_on_as_if_it_hadnt_been(name: str) -> None:
    small = Small.of(name)
    small.update(columns_of(1))
    parent = small.everything()
    data = columns_of(2)
    own = small.updater.start(small.model, data)
    batches = [*small.batches(data if own is None else own, 4, epochs=2)]
    for batch in batches[:5]:
        small.step(batch)
    checkpoint = small.everything()
    for batch in batches[5:]:
        small.step(batch)
    small.updater.finish(small.model, data)

    # A job that goes on begins with what the parent left, as it did at first
    other = Small.of(name)
    other.become(parent)
    other.updater.start(other.model, data)
    other.become(checkpoint)
    for batch in batches[5:]:
        other.step(batch)
    other.updater.finish(other.model, data)
    assert_same(other.everything(), small.everything())


@pytest.mark.slow
@every_updater
def test_growth_keeps_what_it_knew(name: str) -> None:
    small = Small.of(name)
    small.update(columns_of(1))
    before = small.everything()

    grown = Small.of(name, model=larger(small.model), outputs=4)
    grown.updater.memory.revert(before["memory"])
    grown.updater.grow(grown.model, before["updater"])
    for key, tensor in grown.updater.own_state().items():
        kept = before["updater"][key]
        same = tensor if not kept.ndim else tensor[: len(kept)]
        assert torch.equal(same, kept), key
    assert len(grown.updater.memory) == len(small.updater.memory)

    losses = grown.update(columns_of(2, classes=4))
    assert all(torch.tensor(losses).isfinite())
    answers = grown.answers(columns_of(3)["inputs"])
    assert answers.shape == (24, 4)
    assert answers.isfinite().all()


def larger(model: nn.Module) -> nn.Module:
    """The same with a fourth output."""
    made = model_of(4)
    with torch.no_grad():
        for new, old in zip(made.parameters(), model.parameters(), strict=True):
            new[: len(old)] = old
    return made


@pytest.mark.slow
@every_updater
def test_nothing_grows_over_many_updates(name: str) -> None:
    if name in GROWS:
        pytest.skip(GROWS[name])

    small = Small.of(name)
    calls: list[int] = []
    small.model.register_forward_hook(lambda _, given, answer: calls.append(len(answer)))
    costs = []
    for number in range(50):
        calls.clear()
        small.update(columns_of(number, rows=16))
        if number in (9, 49):
            gc.collect()
            state = small.updater.own_state()
            costs.append(
                {
                    "bytes of the state": sum(t.numel() * t.element_size() for t in state.values()),
                    "names of the state": len(state),
                    "examples": len(small.updater.memory),
                    "columns": len(small.updater.memory.columns()),
                    "passes": (len(calls), sum(calls)),
                    "tensors": sum(isinstance(each, Tensor) for each in gc.get_objects()),
                }
            )
    early, late = costs
    # Of tensors some come and go with caches; one a step or an update would be forty or more
    assert late.pop("tensors") - early.pop("tensors") < 20  # type: ignore[operator]
    assert early == late


def digits() -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    """Digits 0 to 4 and 5 to 9, to train on and to test with."""
    from sklearn.datasets import load_digits

    found = load_digits()
    inputs = torch.tensor(found.data, dtype=torch.float32) / 16
    targets = torch.tensor(found.target)
    train, test = [], []
    for classes in (range(5), range(5, 10)):
        rows = torch.isin(targets, torch.tensor([*classes])).nonzero().flatten()
        cut = len(rows) * 3 // 4
        for part, own in ((train, rows[:cut]), (test, rows[cut:])):
            part.append({"inputs": inputs[own], "targets": targets[own]})
    return train, test


@pytest.mark.slow
@every_updater
def test_it_forgets_less_than_fine_tuning(name: str) -> None:
    if name in FORGETS:
        pytest.skip(FORGETS[name])

    train, test = digits()
    kept = {}
    both = {}
    for which in ("fine_tuning", name):
        model = model_of(10, features=64, width=50)
        memory = memory_of(memory_option(which), capacity=200)
        small = Small.of(which, model=model, memory=memory, outputs=10, lr=0.1)
        for data in train:
            small.update(data, batch_size=16, epochs=8)
        right = [small.answers(part["inputs"]).argmax(1) == part["targets"] for part in test]
        kept[which] = float(right[0].float().mean())
        both[which] = float(torch.cat(right).float().mean())

    assert kept[name] > kept["fine_tuning"] + 0.05, kept
    # An updater that learned nothing new would forget nothing
    assert both[name] > both["fine_tuning"], both


def test_the_suite_sees_what_an_updater_forgets_to_keep() -> None:
    """The check of interruptions fails for a count that is no module state."""
    small = Small.of("er")
    assert batch_of(0).raw["inputs"].shape[1] == FEATURES
    saved = small.everything()
    other = copy.deepcopy(saved)
    assert_same(saved, other)
    next(iter(other["model"].values()))[0, 0] += 1
    with pytest.raises(AssertionError, match=re.escape(".model.")):
        assert_same(saved, other)
