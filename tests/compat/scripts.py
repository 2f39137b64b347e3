"""Scripts and config files in the manner of Renate's users, in the current directory."""

import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.command import workers_kept_warm

HERE = Path(__file__).parent
ORIGINAL = HERE / "written_by_renate"  # run under Renate 0.5.1, kept as they were


def bring(name: str, folder: Path, *, origin: Path = ORIGINAL) -> Path:
    """Copy a script or a config file, which are kept as text so that nothing reformats them."""
    return Path(shutil.copy(origin / f"{name}.txt", folder / f"{name}.py"))


def run_script(path: Path) -> dict[str, Any]:
    """Run a script as `python path` does, in this process; its names are returned."""
    before = {*sys.modules}
    with workers_kept_warm():
        try:
            return runpy.run_path(str(path), run_name="__main__")
        finally:
            for name in {*sys.modules} - before:
                file = getattr(sys.modules[name], "__file__", None)
                if file is not None and Path(file).is_relative_to(path.parent):
                    del sys.modules[name]
