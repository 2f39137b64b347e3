"""Images that are files of their own, as a column of encoded images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from renate.data.fingerprint import open_file

# What a file of an image is called; what is called otherwise isn't looked at.
SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".bmp",
    ".webp",
    ".tif",
    ".tiff",
    ".pgm",
    ".ppm",
    ".pbm",
)


@dataclass(frozen=True)
class ImageFiles:
    """Paths or URLs of images, one a row; they are read when they are decoded.

    Attributes:
        paths: In the order of the rows.
    """

    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def nbytes(self) -> int:
        """What the local ones take."""
        return sum(Path(path).stat().st_size for path in self.paths if "://" not in path)

    def batches(self, rows: int) -> Iterator[list[bytes | None]]:
        """Give their bytes in lists of at most so many.

        Raises:
            DataError: One can't be read.
        """
        for begin in range(0, len(self.paths), rows):
            images: list[bytes | None] = []
            for path in self.paths[begin : begin + rows]:
                with open_file(path) as file:
                    images.append(file.read())
            yield images


def is_image_file(name: str) -> bool:
    """Whether a file is an image by its suffix, and not hidden."""
    path = Path(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
