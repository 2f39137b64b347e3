"""Which examples an update holds out: as the state has it, with what its data add."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.kept.fresh import Mask, fresh_rows
from renate.data.kept.hashing import Hashes
from renate.data.kept.periods import Times, with_new
from renate.data.kept.raw import hash_inputs
from renate.data.kept.split import SIDES, TRAIN, VAL, Split, first_split, with_exceptions
from renate.data.kept.trained import Trained
from renate.data.table import Table, order_of, targets_of
from renate.errors import DataError, NothingNewError, TooFewError
from renate.problems.base import Label, Problem


@dataclass(frozen=True)
class Shares:
    """What a config says of the split.

    Attributes:
        test: The fraction to hold out to test on; 0 where test data is given.
        val: `data.val_size`.
        key: Of the validation side of a first update.
        training: Whether the training data will be trained on.
        ends: The newest time of each chunk, where a scenario cuts by time: of each the newest
            examples are held out.
    """

    test: float
    val: float
    key: int
    training: bool
    ends: Sequence[float] = ()


def split_of(
    train: Table,
    problem: Problem,
    new: Sequence[Label],
    asked: Shares,
    known: Split | None,
    trained: Trained | None,
    first: bool,
) -> tuple[Split, Hashes, dict[str, Tensor], list[str]]:
    """Return which of a table's examples are held out, their hashes, the rows of each side, and
    what to say.

    Args:
        train: What was read.
        problem: Has learned its targets.
        new: The labels that no earlier version knows.
        asked: What the config says.
        known: The state's; None where it keeps none.
        trained: The files that aren't to be trained on again; None where all are.
        first: Whether there is no state yet.

    Raises:
        DataError: Examples would change sides, or a side would be empty.
        NothingNewError: All files have been trained on.
    """
    if known is not None:
        _check_by(train.held_by, known)
        _check_shares(known, asked)

    fresh, notes = fresh_rows(train, trained)
    hashes = hashes_of(train, "data.train")
    if train.times is not None:
        split, said = _by_time(train, train.times, asked, known)
        rows = rows_of_sides(split, hashes, training=asked.training, fresh=fresh, times=train.times)
        return split, hashes, rows, notes + said

    groups = problem.groups(targets_of(train, "data.train"))
    # Groups are labels only where those are classes
    unknown = set(new) if problem.classes else set()
    split, said = _choose(hashes, groups, unknown, asked, known, first=first, fresh=fresh)
    split = replace(split, by=train.held_by)
    rows = rows_of_sides(split, hashes, training=asked.training, fresh=fresh)

    return split, hashes, rows, notes + said


def hashes_of(table: Table, key: str) -> Hashes:
    """Return a hash of what says on which side each example is: of all inputs, or of the columns
    of a key.
    """
    if table.identity is not None:
        return hash_inputs(table.identity, key)
    return hash_inputs(table.inputs, key, order_of(table))


@contextmanager
def nothing_new_by_rule(source: Any, known: Split | None, *, training: bool) -> Iterator[None]:
    """Let a source that reads say that nothing is new only where it holds out as the state does.

    Raises:
        DataError: Examples would change sides.
    """
    try:
        yield
    except NothingNewError:
        if known is not None:
            _check_rule(known, source, training)
        raise


def _check_rule(known: Split, source: Any, training: bool) -> None:
    # As far as that is told without data
    marks = source.roles.marks if hasattr(source, "roles") else {}
    held_by = [(key, *names) for key, names in marks.items() if key in ("key", "group", "time")]
    if held_by and known.by_time and held_by[0] == known.by[:2]:
        held_by = [known.by]  # what kind its times are isn't told

    _check_by(held_by[0] if held_by else (), known)

    share = 0.0
    if not source.files().get("test"):
        share = getattr(source, "test_size", 0.0)
    _check_shares(known, Shares(share, source.val_size, known.key, training))


def _check_by(held_by: tuple[str, ...], known: Split) -> None:
    """Return if the hold-out goes by the same columns as in the state.

    Raises:
        DataError: It doesn't, so examples would change sides.
    """
    if held_by == known.by:
        return

    raise DataError(
        f"the hold-out goes by {_in_words(held_by)}, in the state by {_in_words(known.by)}, "
        "and no example may change sides: give that, or start another state"
    )


def _in_words(by: tuple[str, ...]) -> str:
    if not by:
        return "all inputs"
    if by[0] == "time":
        return f"data.time={by[1]}{''.join(f' ({kind})' for kind in by[2:])}"
    return f"data.{by[0]}=[{','.join(by[1:])}]"


def _by_time(
    train: Table, times: Times, asked: Shares, known: Split | None
) -> tuple[Split, list[str]]:
    """Return the state's split, or a first one, with what is newer than all that it knows; and
    what to say.
    """
    if known is None:
        # A number of examples is kept as the share that it is here
        share = asked.val if asked.val < 1 else min(asked.val / len(times), 0.999)
        known = Split(asked.test, share, asked.val, asked.key, by=train.held_by)
        notes: list[str] = []
    else:
        notes = _check_shares(known, asked)

    test = known.test if asked.test else 0.0
    periods = known.periods
    for end in asked.ends:
        periods = with_new(periods, times[times <= end], test, known.asked)
    if not asked.ends:
        periods = with_new(periods, times, test, known.asked)
    return replace(known, periods=periods), notes


def _choose(
    hashes: Hashes,
    groups: np.ndarray[Any, Any],
    new: set[Any],
    asked: Shares,
    known: Split | None,
    *,
    first: bool,
    fresh: Mask | None,
) -> tuple[Split, list[str]]:
    """Return the state's split, or a first one, with the exceptions that this data needs; and what
    to say.

    Args:
        hashes: Of all examples, [N].
        groups: Of all examples, see `Problem.groups`.
        new: The labels that no earlier version knows.
        asked: What the config says.
        known: The state's; None where it keeps none.
        first: Whether there is no state yet.
        fresh: Which examples [N] may be trained on, and be validated by; None for all.

    Raises:
        DataError: Examples would change sides, or a side would be empty.
    """
    notes: list[str] = []
    if known is None:
        split = first_split(hashes, asked.test, asked.val, asked.key)
        if not first and asked.training:
            notes.append(
                "the state was written before it kept which examples are held out: "
                "examples that it trained on may be held out from now on"
            )
    else:
        split = known
        notes = _check_shares(split, asked)

    if not asked.training:
        return split, notes

    movable = new
    if known is None:
        movable = set(groups.tolist())

    first = known is None
    return with_exceptions(split, hashes, groups, movable, first=first, fresh=fresh), notes


def _check_shares(split: Split, asked: Shares) -> list[str]:
    """Refuse shares by which examples would change sides.

    Raises:
        DataError: Saying which shares keep them.
    """
    fraction = asked.test
    training = asked.training
    if fraction and not split.test:
        raise DataError(
            "data.test=null: the state was always given test data, so examples that it trained "
            "on would be held out: give data.test"
        )

    if fraction and fraction != split.test:
        text = f"data.test_size={fraction}: the state holds out {split.test}"
        if training:
            raise DataError(f"{text}, and no example may change sides: data.test_size={split.test}")
        return [f"{text}, on which it is measured"]

    if training and asked.val != split.asked:
        raise DataError(
            f"data.val_size={asked.val}: the state holds out {split.asked:g} for "
            f"validation, and no example may change sides: data.val_size={split.asked:g}"
        )

    if split.test and not fraction and training:
        return [
            f"data.test is given: the examples that were held out before ({split.test:g} of "
            "all) still aren't trained on"
        ]

    return []


def rows_of_sides(
    split: Split,
    hashes: Hashes,
    *,
    training: bool,
    fresh: Mask | None = None,
    times: Times | None = None,
) -> dict[str, Tensor]:
    """Return the rows of each side, in order, int64.

    Args:
        split: Which examples are held out.
        hashes: Of all examples.
        training: Whether there must be something to train on.
        fresh: Which examples [N] may be trained on, and be validated by; None for all. All are
            tested on.
        times: When each example was, [N], where that says it.

    Raises:
        DataError: All examples are held out.
    """
    sides = split.sides(hashes, times)
    places = {side: sides == SIDES.index(side) for side in SIDES}
    if fresh is not None:
        places |= {side: places[side] & fresh for side in (TRAIN, VAL)}

    rows = {side: torch.from_numpy(np.flatnonzero(place)) for side, place in places.items()}
    if training and not len(rows[TRAIN]):
        count = f"{len(hashes)} examples"
        if fresh is not None:
            count = f"{int(fresh.sum())} examples in new files"

        raise TooFewError(
            f"data.train: all of its {count} are held out, for test or validation: give more rows"
        )

    return rows
