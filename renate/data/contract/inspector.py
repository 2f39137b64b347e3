"""A contract at work while a source is read: fitted at a first update, held against data later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from renate.data.contract.document import Contract
from renate.data.contract.fitting import (
    fitted_columns,
    fitted_shares,
    fitted_target,
    least_examples,
)
from renate.data.contract.fixing import without_rows
from renate.data.contract.inspection import REMEDY, SHOWN, Inspection
from renate.data.contract.rules import FAIL, FIX, OFF, Rules
from renate.data.contract.views import views_of
from renate.data.kept.encoders import Encoder
from renate.data.table import Table, place_of
from renate.errors import DataError, and_more
from renate.problems.base import Label, Problem

TRAIN = "data.train"


class Inspector:
    """Holds what a source reads against a contract, or fits one.

    Args:
        rules: What a violation leads to; without any nothing is done.
        contract: The state's, or the one that was given; None where there is none.
        fits: Whether one is fitted, as at a first update.

    Attributes:
        contract: What the next version keeps; None where that is none.
        notes: What there is to tell the user.
    """

    def __init__(
        self, rules: Rules | None = None, contract: Contract | None = None, *, fits: bool = False
    ) -> None:
        self.rules = rules or Rules()
        self.contract = contract
        self.fits = fits and contract is None and bool(self.rules)
        self.notes: list[str] = []

    @property
    def _checks(self) -> bool:
        return self.contract is not None and bool(self.rules) and not self.fits

    def labels(self, train: Table, tests: Mapping[str, Table]) -> tuple[Table, dict[str, Table]]:
        """Hold labels as they are read against the contract's; returns the tables without the rows
        that the rules leave out.

        Raises:
            DataError: One isn't there, where that fails.
        """
        action = self.rules.of_check("labels")
        labels = self.contract.labels if self.contract is not None else None
        if not self._checks or labels is None or action == OFF:
            return train, dict(tests)

        known = set(labels)
        checked = {
            name: self._of_labels(table, name, known, action)
            for name, table in {TRAIN: train, **tests}.items()
        }
        return checked.pop(TRAIN), checked

    def _of_labels(self, table: Table, name: str, known: set[Label], action: str) -> Table:
        gone = np.array([not label <= known for label in _labels_of(table)], bool)
        rows = np.flatnonzero(gone)
        if not len(rows):
            return table

        shown = ", ".join(
            f"{_plain(table.targets[row])!r} ({where(table, int(row))})" for row in rows[:SHOWN]
        )
        more = ", …" if len(rows) > SHOWN else ""
        said = (
            f"{_key(name)}: the labels of {len(rows):,} of {len(gone):,} rows are none of the "
            f"contract's {len(known):,}: {shown}{more}"
        )
        if action == FAIL:
            raise DataError(f"{said}: contract.labels=fail: {REMEDY}")
        if action == FIX:
            self.notes.append(f"{said}; left out")
            return without_rows(table, gone)

        self.notes.append(said)
        return table

    def columns(
        self, train: Table, tests: Mapping[str, Table], encoder: Encoder | None
    ) -> tuple[Table, dict[str, Table]]:
        """Hold raw inputs against the contract, or fit it; returns the tables as the rules ask.

        Raises:
            DataError: Values, or too few examples, where that fails.
        """
        if self.fits:
            columns = fitted_columns(views_of(train.inputs, train.columns, encoder), self.rules)
            least = least_examples(len(train.targets), self.rules.slack["examples"])
            self.contract = Contract(columns, examples=least)
        if not self._checks:
            return train, dict(tests)

        assert self.contract is not None
        self._check_examples(len(train.targets), self.contract.examples)
        checked = {}
        for name, table in {TRAIN: train, **tests}.items():
            inspection = Inspection(self.contract, self.rules, _key(name))
            place = partial(where, table)
            inputs = inspection.look(table.inputs, table.columns, encoder, place)
            self.notes += inspection.conclude()
            checked[name] = table._replace(inputs=inputs)

        return checked.pop(TRAIN), checked

    def _check_examples(self, count: int, least: int) -> None:
        if count < least:
            said = f"{TRAIN}: {count:,} examples, the contract has at least {least:,}"
            self._tell("examples", said)

    def target(self, encoded: Tensor, problem: Problem) -> None:
        """Hold the training data's target against the contract, or fit it.

        Args:
            encoded: As the problem encodes it, [N] or [N, K].
            problem: What is predicted, with all its labels.

        Raises:
            DataError: A label's share, or a number, where that fails.
        """
        # Ids of tokens are no amounts, and texts have no balance
        if self.contract is None or not len(encoded) or problem.generates:
            return

        counts = problem.counts(problem.truths(encoded))
        if counts is None:
            self._of_numbers(problem.truths(encoded).double().numpy())
            return

        found = counts.numpy()
        rows = len(encoded)
        if self.fits:
            shares = fitted_shares(problem.labels, found, rows, self.rules.slack["balance"])
            self.contract = replace(self.contract, labels=shares)
            return

        if self._checks:
            self._check_balance(problem.labels, found / rows)
        self.contract = self.contract.with_labels(problem.labels)

    def _check_balance(self, labels: Sequence[Label], shares: np.ndarray[Any, Any]) -> None:
        assert self.contract is not None
        allowed = self.contract.labels or {}
        odd = []
        for label, share in zip(labels, shares.tolist(), strict=True):
            bounds = allowed.get(label)
            if bounds is not None and not bounds[0] <= share <= bounds[1]:
                expected = f"{bounds[0]:.1%} to {bounds[1]:.1%} expected"
                odd.append(f"{label!r} has {share:.1%}, {expected}")

        if odd:
            more = and_more(len(odd) - SHOWN)
            said = f"{TRAIN}: shares of labels: {'; '.join(odd[:SHOWN])}{more}"
            self._tell("balance", said)

    def _of_numbers(self, values: np.ndarray[Any, Any]) -> None:
        assert self.contract is not None
        flat = values.reshape(len(values), -1)
        if flat.shape[1] != 1:
            return
        if self.fits:
            bounds = fitted_target(flat[:, 0], self.rules.slack["ranges"])
            self.contract = replace(self.contract, target_range=bounds)
            return
        if not self._checks or self.contract.target_range is None:
            return

        low, high = self.contract.target_range
        odd = np.zeros(len(flat), bool)
        if low is not None:
            odd |= flat[:, 0] < low
        if high is not None:
            odd |= flat[:, 0] > high
        if odd.any():
            shown = ", ".join(f"{value:g}" for value in flat[odd, 0][:SHOWN].tolist())
            said = (
                f"{TRAIN}: {int(odd.sum()):,} of {len(flat):,} targets are outside {low} to "
                f"{high}: {shown}"
            )
            # Numbers to predict are never changed
            self._tell("ranges", said)

    def _tell(self, check: str, said: str) -> None:
        action = self.rules.of_check(check)
        if action == FAIL:
            raise DataError(f"{said}: contract.{check}=fail: {REMEDY}")
        if action != OFF:
            self.notes.append(said)


def where(table: Table, row: int) -> str:
    """Return where a row stands: `week1.csv row 7`, counted from 0."""
    found = place_of(table, row)
    return f"row {row}" if found is None else f"{found[0]} row {found[1]}"


def _key(name: str) -> str:
    if name == TRAIN or name == "test":
        return TRAIN if name == TRAIN else "data.test"
    return f"data.test.{name}"


def _labels_of(table: Table) -> Iterator[set[Any]]:
    """Yield the labels of each row, as a problem knows them; those of columns of 0 and 1 are the
    columns', and always known.
    """
    if table.targets.ndim > 1:
        yield from (set[Any]() for _ in range(len(table.targets)))
        return

    for value in table.targets.tolist():
        if isinstance(value, list | tuple):
            yield set(value)
        elif (isinstance(value, float) and value.is_integer()) or isinstance(value, bool):
            yield {int(value)}
        else:
            yield {value}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
