"""Which problem a target is of, where the config leaves it open."""

from renate.build import build, shipped
from renate.problems.base import Problem, Targets

# Labels that a writer turned into floats, as pandas does where a value is missing, are few;
# measurements are many.
FEW = 20


def option_of(targets: Targets) -> str:
    """Return the option of conf/problem that fits.

    Text, booleans and whole numbers are classes; so are floats that are whole and of at most `FEW`
    different values. Other floats are regression. Lists, and several columns of 0 and 1, are
    several labels.
    """
    import numpy as np

    values = targets.values
    if values.ndim > 1:
        flags = bool(((values == 0) | (values == 1)).all())
        if flags:
            return "multi_label"
        return "regression"
    if values.dtype == object:
        if not len(values) or isinstance(values[0], str):
            return "classification"
        return "multi_label"
    if values.dtype.kind != "f":
        return "classification"

    different = np.unique(values)
    labels = len(different) <= FEW and bool((different == np.floor(different)).all())

    if labels:
        return "classification"
    return "regression"


def doubt_about(targets: Targets) -> str | None:
    """Return what to say of numbers that look like measurements and are taken as classes."""
    import numpy as np

    values = targets.values
    if values.ndim > 1 or values.dtype.kind not in "iu":
        return None

    different = len(np.unique(values))
    if different <= FEW or 4 * different <= len(values):
        return None
    return (
        f"{targets.where}: {different} different whole numbers in {len(values)} examples are taken "
        "as classes: problem=regression predicts numbers"
    )


def problem_for(targets: Targets) -> Problem:
    """Return a problem that fits, with the settings of its option."""
    option = option_of(targets)
    made: Problem = build(shipped("problem", option), "problem")
    return made
