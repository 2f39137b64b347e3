"""A process that decodes images: it takes blocks of encoded ones and writes their pixels into its
rows of a file.

Threads don't do: Pillow holds the interpreter's lock for most of the time that a small image takes,
and two threads are slower than one. Nor does a fork, which copies the locks of torch's threads, or
multiprocessing, which loads the main module again and refuses daemonic processes. This module loads
Pillow and little else.
"""

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from io import FileIO
from typing import NamedTuple

from renate.data.images.decode import CorruptError, InColourError, Layout, pixels
from renate.errors import DataError

# Two arguments of `serve`, then the parent's own sys.path, so that both find the same modules.
START = (
    "import sys; a, b, *sys.path = sys.argv[1:]; from renate.data.images.worker import serve; "
    "serve(a, int(b))"
)


class Block(NamedTuple):
    """Images that are decoded together.

    Attributes:
        first: The row of the first one, of all files.
        images: See `images.pixels`.
    """

    first: int
    images: list[bytes | None]


class Answer(NamedTuple):
    """What became of a block.

    Attributes:
        kind: `done`, `colour` (see `InColourError`), `refused` (an image of it) or `unwritten`.
        row: The row of the image that was refused.
        text: Why, for the message.
        corrupt: Of what is done, (row, why) of each image that can't be decoded, where those are
            left out.
    """

    kind: str
    row: int = -1
    text: str = ""
    corrupt: tuple[tuple[int, str], ...] = ()


def write(file: FileIO, block: Block, layout: Layout, start: int) -> Answer:
    """Decode a block into a file.

    Args:
        file: Opened for writing; without a buffer, which would fail once more when it is closed.
        block: The images.
        layout: What they become.
        start: Where the first row of all begins in the file.
    """
    channels, height, width = layout.shape
    row = block.first
    corrupt: list[tuple[int, str]] = []

    try:
        file.seek(start + row * channels * height * width)
        for data in block.images:
            try:
                image = pixels(data, layout)
            except CorruptError as error:
                if not layout.skip:
                    raise
                corrupt.append((row, error.args[0]))
                image = bytes(channels * height * width)

            rest = memoryview(image)
            while rest:
                rest = rest[file.write(rest) :]
            row += 1
    except InColourError:
        return Answer("colour")
    except DataError as error:
        return Answer("refused", row, error.args[0])
    except OSError as error:
        return Answer("unwritten", row, error.strerror or str(error))

    return Answer("done", corrupt=tuple(corrupt))


def serve(path: str, answers: int) -> None:
    """Answer requests (block, layout, start) from the standard input until it ends, as it does when
    the parent dies.

    Args:
        path: The file to write into.
        answers: Descriptor of a pipe; anybody may have printed to the standard output.
    """
    with FileIO(path, "r+") as file, FileIO(answers, "w") as pipe:
        while True:
            try:
                block, layout, start = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            pipe.write(pickle.dumps(write(file, block, layout, start)))


class Worker:
    """The parent's end of such a process.

    Args:
        path: The file that it writes into; it must be there.

    Raises:
        OSError: No process can be started.
    """

    def __init__(self, path: os.PathLike[str]) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            raise OSError("no interpreter to start")

        answers, theirs = os.pipe()
        self.answers = os.fdopen(answers, "rb")
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, os.fspath(path), str(theirs), *map(str, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs],
                process_group=0,  # Ctrl-C is the parent's to hear
            )
        except BaseException:
            self.answers.close()
            raise
        finally:
            os.close(theirs)

        assert self.process.stdin is not None
        self.requests = self.process.stdin

    def send(self, block: Block, layout: Layout, start: int) -> None:
        """Hand a block to the process, which must be waiting for one.

        Raises:
            OSError: It has died.
        """
        pickle.dump((block, layout, start), self.requests, protocol=pickle.HIGHEST_PROTOCOL)
        self.requests.flush()

    def receive(self) -> Answer:
        """Wait for the answer.

        Raises:
            EOFError: The process has died.
        """
        answer: Answer = pickle.load(self.answers)
        return answer

    def end(self) -> int:
        """End the process at once, and return its exit code."""
        self.process.kill()
        code = self.process.wait()
        self.answers.close()
        with suppress(OSError):  # of what it didn't take any more
            self.requests.close()
        return code
