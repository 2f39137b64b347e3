"""Several objectives: which trials no other beats in all of them."""

from collections.abc import Sequence

Point = tuple[float, ...]


def dominates(a: Point, b: Point) -> bool:
    """Whether `a` is at least as small as `b` everywhere and smaller somewhere."""
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def ranks(points: Sequence[Point]) -> list[int]:
    """How many others dominate each point; 0 is the Pareto front. Of one objective, how many are
    smaller.

    Fonseca & Fleming, 1993, Genetic algorithms for multiobjective optimization, section 2.
    """
    return [sum(dominates(other, point) for other in points) for point in points]
