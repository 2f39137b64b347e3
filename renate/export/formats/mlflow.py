"""A model of MLflow, by `mlflow.pyfunc.load_model(folder)`."""

import contextlib
import io
import logging
import shutil
import warnings
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renate.export.formats import sagemaker
from renate.extras import load

if TYPE_CHECKING:
    from renate.export.export import Run, Source

PARTS = "parts"
SCRIPT = "mlflow_model.py"


def write(source: "Source", folder: Path) -> "Run":
    """Write the parts that the model is made of, and return what runs them."""
    with quiet():
        load("mlflow.pyfunc", "export", "--format mlflow")
    return sagemaker.write(source, folder)


def finish(source: "Source", folder: Path) -> None:
    """Make a model of MLflow of the parts, in the same folder."""
    mlflow: Any = load("mlflow.pyfunc", "export", "--format mlflow")
    parts = folder.parent / PARTS
    shutil.move(folder, parts)
    signature = parts / "signature.json"
    needed = [f"torch=={version('torch').partition('+')[0]}", f"numpy=={version('numpy')}"]
    script = files("renate.export.scripts").joinpath(SCRIPT)
    code = parts.parent / SCRIPT
    code.write_bytes(script.read_bytes())
    with quiet():
        mlflow.save_model(
            folder,
            python_model=str(code),
            artifacts={"export": str(parts)},
            pip_requirements=[*needed, *sagemaker.needs(parts)],
        )
    shutil.copy(signature, folder / signature.name)
    code.unlink()
    shutil.rmtree(parts)


@contextlib.contextmanager
def quiet() -> Any:
    """MLflow tells of each of its steps, and warns of what it will be like."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
