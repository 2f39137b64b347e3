"""A model.tar.gz for a container of SageMaker's PyTorch: the program of torch.export and a script
with `model_fn`, `input_fn`, `predict_fn` and `output_fn`.
"""

import gzip
import shutil
import tarfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from renate.export.beside import FEED, TOKENIZER
from renate.export.formats import torch_export

if TYPE_CHECKING:
    from renate.export.export import Run, Source

ARCHIVE = "model.tar.gz"
CODE = "code"
SCRIPT = "inference.py"


def write(source: "Source", folder: Path) -> "Run":
    """Write the program and the script, and return what runs the program."""
    run = torch_export.write(source, folder)
    code = folder / CODE
    code.mkdir()
    script = files("renate.export.scripts").joinpath(SCRIPT)
    (code / SCRIPT).write_bytes(script.read_bytes())
    (code / "requirements.txt").write_text("".join(f"{line}\n" for line in needs(folder)))
    return run


def needs(folder: Path) -> list[str]:
    """Return the packages that the script of an export needs besides torch and numpy."""
    if (folder / TOKENIZER).is_file():
        return [f"tokenizers=={version('tokenizers')}"]
    if (folder / FEED).is_file():
        return [f"renate-cl=={version('renate-cl')}"]
    return []


def finish(source: "Source", folder: Path) -> None:
    """Pack all files into the archive; the same version packed again is the same, byte by byte."""
    members = sorted(path for path in folder.rglob("*") if path.is_file())
    packed = folder / ARCHIVE
    # A name and a time within would make each archive another one
    with (
        packed.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in members:
            entry = tarfile.TarInfo(str(path.relative_to(folder)))
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)

    for path in members:
        if path.parent == folder and path.name != "signature.json":
            path.unlink()
    shutil.rmtree(folder / CODE)
