"""Weeks of images in which things change: they turn, classes appear, labels are wrong."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from renate.data.batch import Columns, length
from renate.data.mapped.rows import select_rows
from renate.data.scenarios.base import MOST, Scenario, disjoint, tensor_of
from renate.data.scenarios.rotation import rotate
from renate.errors import ConfigError, DataError
from renate.seeds import derive


class Weekly(Scenario):
    """Weeks of images, each a disjoint random part, as many of each class in every week, with
    planted shifts. Test data are cut as training data are, but keep their labels.

    Args:
        weeks: How many.
        per_week: At most so many examples in a week; None takes all there are.
        rotation_per_week: Degrees, counter-clockwise, by which images are turned further in each
            week of `rotation_weeks`; afterwards they stay as they are.
        rotation_weeks: The first and the last week in which they turn, from 1; None: all.
        new_classes_at: Weeks, each with the indices of the classes that come in it for the first
            time, [[20, [8, 9]]]; all others are there from the beginning.
        mislabelled_weeks: Weeks whose labels are wrong.
        mislabelled: The share of their labels that are: each is another class that has come by
            then.
    """

    cut_by = "examples of its week"

    def __init__(
        self,
        weeks: int,
        per_week: int | None,
        rotation_per_week: float,
        rotation_weeks: Sequence[int] | None,
        new_classes_at: Sequence[Sequence[Any]],
        mislabelled_weeks: Sequence[int],
        mislabelled: float,
    ) -> None:
        if not 1 <= weeks <= MOST:
            raise ConfigError(f"scenario.weeks={weeks}: expected 1 or more, {MOST:,} at most")
        super().__init__(weeks)
        if per_week is not None and (type(per_week) is not int or per_week < 1):
            raise ConfigError(f"scenario.per_week={per_week}: expected 1 or more, or null")
        if not 0 < mislabelled <= 1:
            raise ConfigError(
                f"scenario.mislabelled={mislabelled}: expected a share above 0 and at most 1"
            )
        if rotation_weeks is None:
            rotation_weeks = [1, weeks]
        if len(rotation_weeks) != 2 or rotation_weeks[0] > rotation_weeks[1]:
            raise ConfigError(
                f"scenario.rotation_weeks={list(rotation_weeks)}: expected the first week and the "
                "last, [10,30]"
            )

        self.per_week = per_week
        self.rotation_per_week = float(rotation_per_week)
        self.rotation_weeks = [self._week("rotation_weeks", each) for each in rotation_weeks]
        self.mislabelled_weeks = {
            self._week("mislabelled_weeks", each) for each in mislabelled_weeks
        }
        self.mislabelled = float(mislabelled)
        self.arrivals = self._arrivals(new_classes_at)

    def _week(self, key: str, week: object) -> int:
        if type(week) is not int or not 1 <= week <= self.chunks:
            raise ConfigError(f"scenario.{key}: {week!r}: expected a week, 1 to {self.chunks}")
        return week

    def _arrivals(self, new_classes_at: Sequence[Sequence[Any]]) -> dict[int, int]:
        """Class -> the week in which it comes, of those that aren't there from the beginning."""
        found: dict[int, int] = {}
        for pair in new_classes_at:
            if len(pair) != 2 or not isinstance(pair[1], Sequence):
                raise ConfigError(
                    f"scenario.new_classes_at: {pair}: expected a week and the indices of classes, "
                    "[[20, [8, 9]]]"
                )
            week, classes = pair
            for label in classes:
                if type(label) is not int or label < 0 or label in found:
                    raise ConfigError(
                        f"scenario.new_classes_at: week {week}, {label!r}: expected indices of "
                        "classes, each once"
                    )
                found[label] = self._week("new_classes_at", week)
        return found

    def angle(self, index: int) -> float:
        """Return the rotation of week `index` (from 0), in degrees."""
        first, last = self.rotation_weeks
        turned = min(index + 1, last) - first + 1
        return self.rotation_per_week * max(0, turned)

    def known(self, index: int, num_classes: int) -> list[int]:
        """Return the classes that have come by week `index` (from 0).

        Raises:
            ConfigError: There are no classes, not those of `new_classes_at`, or none to begin with.
        """
        if (self.arrivals or self.mislabelled_weeks) and not num_classes:
            raise ConfigError(
                "scenario=weekly: new_classes_at and mislabelled_weeks are about classes, and what "
                "is predicted here has none: [] for both"
            )
        odd = [label for label in self.arrivals if label >= num_classes]
        if odd:
            raise ConfigError(
                f"scenario.new_classes_at: class {odd[0]}: the data have {num_classes} classes, "
                f"expected 0 to {num_classes - 1}"
            )

        return [c for c in range(num_classes) if self.arrivals.get(c, 1) <= index + 1]

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return a week's rows: of classes that have come, turned, and perhaps mislabelled.

        Raises:
            ConfigError: See `known`.
            DataError: The inputs aren't images, or there are no two classes to mislabel.
        """
        if self.rotation_per_week and tensor_of(columns, "weekly").ndim != 4:
            raise DataError(
                "scenario=weekly turns images [C, H, W], the inputs are "
                f"{list(columns['inputs'].shape[1:])}: scenario.rotation_per_week=0"
            )

        known = self.known(index, num_classes)
        week = disjoint(columns, index, self.chunks, part, seed)
        if self.arrivals:
            there = torch.isin(week["targets"], torch.tensor(known))
            week = select_rows(week, there.nonzero()[:, 0])
        if self.per_week is not None and length(week) > self.per_week:
            generator = torch.Generator().manual_seed(derive(seed, f"week of {part}", index))
            order = torch.randperm(length(week), generator=generator)[: self.per_week]
            week = select_rows(week, order.sort().values)

        degrees = self.angle(index)
        if degrees:
            week = week | {"inputs": rotate(week["inputs"], degrees)}
        if part != "test" and index + 1 in self.mislabelled_weeks:
            week = week | {"targets": self._spoilt(week["targets"], known, index, part, seed)}
        return week

    def _spoilt(
        self, targets: Tensor, known: list[int], index: int, part: str, seed: int
    ) -> Tensor:
        """Labels of which a share are wrong, int64 [N]."""
        if len(known) < 2:
            raise DataError(f"scenario.mislabelled_weeks: week {index + 1} has one class alone")

        generator = torch.Generator().manual_seed(derive(seed, f"wrong labels of {part}", index))
        classes = torch.tensor(known)
        place = torch.searchsorted(classes, targets)
        # By 1 to one less than there are classes further round: never the same one
        step = torch.randint(1, len(known), (len(targets),), generator=generator)
        wrong = classes[(place + step) % len(known)]
        is_wrong = torch.zeros(len(targets), dtype=torch.bool)
        drawn = torch.randperm(len(targets), generator=generator)
        is_wrong[drawn[: round(self.mislabelled * len(targets))]] = True
        return torch.where(is_wrong, wrong, targets)
