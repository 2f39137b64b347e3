"""What MLflow loads: an exported version behind `predict(context, rows)`."""

import importlib.util
from pathlib import Path
from typing import Any

import mlflow
from mlflow.pyfunc.model import PythonModel


class ExportedVersion(PythonModel):
    """Answers by the files of an export, with the script that lies among them."""

    def load_context(self, context: Any) -> None:
        """Load the version."""
        folder = Path(context.artifacts["export"])
        script = folder / "code" / "inference.py"
        spec = importlib.util.spec_from_file_location("exported_version_inference", script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.model = module.model_fn(folder)

    # MLflow would take hints for a schema of what it is given
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return an answer for each row: a mapping with `prediction` and, of labels,
        `probabilities`.
        """
        return self.model.predict(model_input)


mlflow.models.set_model(ExportedVersion())
