"""A detector: every test that the data at hand allow, one report."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from renate.errors import ConfigError, DataError
from renate.shift.two_sample import Found, Matrix, categories, classifier, holm, kernel_mmd, numbers
from renate.shift.views import NUMBER, View, scaled

FEWEST_PERMUTATIONS = 19
# Renate had its detectors' base classes in a module of this name: as below a package, `import` asks
# renate/compat/finder.py for what isn't here
__path__: list[str] = []


@dataclass(frozen=True)
class Moved:
    """What one test of the family says.

    Attributes:
        about: What was compared: a column, `labels`, `all inputs`, `the model's answers`.
        test: By which test.
        found: What it says.
        corrected: Its p-value after Holm's correction over the family.
    """

    about: str
    test: str
    found: Found
    corrected: float


@dataclass(frozen=True)
class Drift:
    """What a detector reports.

    Attributes:
        moved: Every test, the smallest p-value first.
        level: Below which a corrected p-value counts as found.
        examples: Of the reference, and new.
        notes: Unseen categories and missing values, in words.
        skipped: What could not be tested, and why.
    """

    moved: Sequence[Moved]
    level: float
    examples: tuple[int, int]
    notes: Sequence[str] = ()
    skipped: Sequence[str] = ()

    @property
    def p_value(self) -> float:
        """The smallest corrected one."""
        return min(each.corrected for each in self.moved)

    @property
    def effect(self) -> float:
        """The largest effect among those that were found; 0 where nothing was."""
        return max((e.found.effect for e in self.moved if e.corrected < self.level), default=0.0)

    @property
    def found(self) -> list[Moved]:
        """What has moved, the largest effect first."""
        those = [each for each in self.moved if each.corrected < self.level]
        return sorted(those, key=lambda each: -each.found.effect)

    def to_json(self) -> dict[str, Any]:
        """As a result holds it."""
        return {
            "p_value": self.p_value,
            "effect": self.effect,
            "level": self.level,
            "examples": list(self.examples),
            "moved": [each.about for each in self.found],
            "tests": [
                {
                    "about": each.about,
                    "test": each.test,
                    "statistic": each.found.statistic,
                    "p_value": each.found.p_value,
                    "corrected": each.corrected,
                    "effect": each.found.effect,
                }
                for each in self.moved
            ],
            "notes": list(self.notes),
            "skipped": list(self.skipped),
        }


@dataclass(frozen=True)
class Samples:
    """What is compared.

    Attributes:
        views: Columns one by one.
        inputs: All inputs together, of the reference and new; None where that can't be.
        answers: The model's outputs, the same.
        labels: Class or label counts as codes, the same; None where there are none.
        sizes: Examples of both.
    """

    views: Sequence[View]
    inputs: tuple[Matrix, Matrix] | None
    answers: tuple[Matrix, Matrix] | None
    labels: View | None
    sizes: tuple[int, int]
    skipped: Sequence[str] = field(default_factory=tuple)


class Detector:
    """Compares new data with the reference that a version keeps.

    Args:
        level: Of the whole family of tests: the share of false alarms.
        permutations: Of the kernel test, at least 19.
        classifier: Whether a classifier is to tell the samples apart as well.
        min_examples: The fewest of both that anything is said by.
        max_examples: The most of both that are compared; drawn by the seed.
    """

    def __init__(
        self,
        level: float,
        permutations: int,
        classifier: bool,
        min_examples: int,
        max_examples: int,
    ) -> None:
        if not 0 < level < 1:
            raise ConfigError(f"job.detector.level={level}: expected a number between 0 and 1")
        if type(permutations) is not int or permutations < FEWEST_PERMUTATIONS:
            raise ConfigError(
                f"job.detector.permutations={permutations}: expected {FEWEST_PERMUTATIONS} or more"
            )
        if type(min_examples) is not int or min_examples < 5:
            raise ConfigError(f"job.detector.min_examples={min_examples}: expected 5 or more")
        if type(max_examples) is not int or max_examples < min_examples:
            raise ConfigError(
                f"job.detector.max_examples={max_examples}: expected {min_examples} or more"
            )

        self.level = level
        self.permutations = permutations
        self.classifier = classifier
        self.min_examples = min_examples
        self.max_examples = max_examples

    def compare(self, samples: Samples, seed: int) -> Drift:
        """Run every test.

        Raises:
            DataError: There are too few examples, or nothing that could be tested.
        """
        if min(samples.sizes) < self.min_examples:
            raise DataError(
                f"{samples.sizes[0]} reference and {samples.sizes[1]} new examples are too few to "
                f"compare by: job.detector.min_examples={self.min_examples}"
            )

        found: list[tuple[str, str, Found]] = []
        for view in samples.views:
            test = "Kolmogorov-Smirnov" if view.kind == NUMBER else "chi-square"
            found.append((view.name, test, _of_view(view)))
        if samples.labels is not None:
            found.append((samples.labels.name, "chi-square", _of_view(samples.labels)))

        together = {"all inputs": samples.inputs, "the model's answers": samples.answers}
        for about, pair in together.items():
            if pair is None:
                continue
            both = scaled(*pair)
            result = kernel_mmd(*both, permutations=self.permutations, seed=seed)
            found.append((about, "kernel MMD", result))
            if self.classifier and about == "all inputs":
                found.append((about, "classifier", classifier(*both, seed=seed)))

        if not found:
            raise DataError("nothing of these data can be compared with the reference")

        corrected = holm([result.p_value for _, _, result in found])
        moved = [Moved(*one, value) for one, value in zip(found, corrected, strict=True)]
        moved.sort(key=lambda each: (each.corrected, -each.found.effect))
        return Drift(
            moved, self.level, samples.sizes, _notes(samples.views), tuple(samples.skipped)
        )


def _of_view(view: View) -> Found:
    if view.kind == NUMBER:
        return numbers(view.before, view.now)
    return categories(view.before, view.now)


def _notes(views: Sequence[View]) -> list[str]:
    notes = []
    for view in views:
        if view.unseen:
            notes.append(f"column '{view.name}': {view.unseen:.1%} are categories never seen")
        if view.missing is not None and abs(view.missing[1] - view.missing[0]) >= 0.01:
            before, now = view.missing
            notes.append(f"column '{view.name}': {now:.1%} are missing, {before:.1%} before")

    return notes
