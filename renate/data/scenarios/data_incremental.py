"""Chunks that are data sets of their own: files, or folders of them."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import torch

from renate.data.batch import Columns
from renate.data.mapped.rows import select_rows
from renate.data.scenarios.base import SHOWN, Scenario
from renate.data.table import Table
from renate.errors import ConfigError, DataError, and_more, nearest

DOMAIN = "scenario.domain"  # a column that cutting needs, and no chunk has
NONE = -1  # of a row whose file is of no domain


class DataIncremental(Scenario):
    """Each chunk has the rows of one domain, or of several: of the files that are called like it,
    or lie in a folder that is.

    Args:
        domains: The domain of each chunk; null where `groupings` says.
        groupings: The domains of each chunk; null where `domains` says.
    """

    own = (DOMAIN,)

    def __init__(
        self, domains: Sequence[str] | None, groupings: Sequence[Sequence[str]] | None
    ) -> None:
        if (domains is None) == (groupings is None):
            raise ConfigError(
                "scenario=data_incremental: give either scenario.domains=[a,b] or "
                "scenario.groupings=[[a],[b,c]], the other null"
            )

        groups = [[str(name) for name in group] for group in groupings or []]
        if domains is not None:
            groups = [[str(name)] for name in domains]

        names = [name for group in groups for name in group]
        if not groups or not all(groups) or len(set(names)) != len(names):
            raise ConfigError(
                f"scenario=data_incremental: {groups}: expected a domain or more for each chunk, "
                "each at most once"
            )

        super().__init__(len(groups))
        self.groups = groups
        self.names = names

    def marks(self, table: Table, key: str) -> Columns:
        """Return which domain each row is of, int64 [N]: its place in the names, or `NONE`.

        Raises:
            DataError: The rows come from no files, a file is of two domains, or a domain has none.
        """
        if not table.files:
            raise DataError(
                f"{key}: scenario=data_incremental cuts by file, and these rows come from none: "
                "data=files data.train='train/*.parquet'"
            )

        places = []
        others = []
        seen: dict[str, None] = {}
        for file in table.files:
            own = _names_of(file.name)
            seen |= dict.fromkeys(own)
            found = [place for place, name in enumerate(self.names) if name in own]
            if len(found) > 1:
                both = " and ".join(self.names[place] for place in found)
                raise DataError(f"{key}: {file.name} is of the domains {both}: expected one")
            if not found:
                others.append(PurePosixPath(file.name).name)
            places.append(torch.full((file.rows,), found[0] if found else NONE))

        marked = torch.cat(places)
        for place, name in enumerate(self.names):
            if not bool((marked == place).any()):
                raise DataError(
                    f"{key}: no row of the domain '{name}': no file of that name or in a folder "
                    f"of that name{nearest(name, seen)}"
                )

        if others:
            self.notes.append(
                f"scenario: {int((marked == NONE).sum()):,} examples of {key} are of no domain "
                f"({', '.join(others[:SHOWN])}{and_more(len(others) - SHOWN)}), and left out"
            )

        return {DOMAIN: marked}

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return the rows of a chunk's domains, in their order.

        Raises:
            DataError: The source doesn't say of which file a row is.
        """
        if DOMAIN not in columns:
            raise DataError(
                f"data.{part}: scenario=data_incremental cuts by file, and this source has none"
            )

        wanted = torch.tensor([self.names.index(name) for name in self.groups[index]])
        return select_rows(columns, torch.isin(columns[DOMAIN], wanted).nonzero()[:, 0])


def _names_of(file: str) -> list[str]:
    """What a file may be called as: without its endings, and the folders that it lies in."""
    path = PurePosixPath(file)
    stem = path.name
    while PurePosixPath(stem).suffix:
        stem = PurePosixPath(stem).stem

    return [stem, path.stem, *(part for part in path.parent.parts if part not in ("/", "."))]
