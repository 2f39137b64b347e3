"""MLflow's registry of models."""

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from renate.export.registries.base import Published, Registry
from renate.extras import load

TAG = "renate.manifest"  # the SHA-256 of the version's manifest: what it is, wherever it came from
WHO = "publish=mlflow"


class MLflow(Registry):
    """A registered model, each version of a state one of its versions.

    Args:
        name: Of the registered model.
        tracking_uri: The server, or a database such as sqlite:///mlflow.db; None is what MLflow's
            environment says.
        experiment: In which the run is that holds the model's files.
    """

    def __init__(self, name: str, tracking_uri: str | None, experiment: str) -> None:
        if find_spec("mlflow") is None:  # importing it takes seconds
            load("mlflow", "export", WHO)
        self.name = name
        self.tracking_uri = tracking_uri
        self.experiment = experiment

    def register(self, published: Published) -> str:
        """Log the model once, as `mlflow.pyfunc` loads it; set description, tags and aliases."""
        from renate.export.formats.mlflow import quiet

        with quiet():
            client = load("mlflow", "export", WHO).MlflowClient(tracking_uri=self.tracking_uri)
            self._make_model(client)
            number = self._known(client, published.manifest.sha256)
            if number is None:
                number = self._logged(client, published)
            client.update_model_version(self.name, number, description=published.card)
            self._set_aliases(client, number, published.aliases)

        return f"models:/{self.name}/{number}"

    def _make_model(self, client: Any) -> None:
        if not client.search_registered_models(filter_string=f"name = '{self.name}'"):
            client.create_registered_model(self.name)

    def _known(self, client: Any, sha256: str) -> str | None:
        found = client.search_model_versions(f"name = '{self.name}' and tags.`{TAG}` = '{sha256}'")
        if found:
            return str(found[0].version)
        return None

    def _logged(self, client: Any, published: Published) -> str:
        experiment = client.get_experiment_by_name(self.experiment)
        if experiment is None:
            place = client.create_experiment(self.experiment)
        else:
            place = experiment.experiment_id

        tags = {TAG: published.manifest.sha256, "renate.version": str(published.version)}
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "model"
            published.export("mlflow", made)
            title = f"{self.name} {published.version}"
            run = client.create_run(place, run_name=title, tags=tags)
            client.log_artifacts(run.info.run_id, str(made), "model")

        client.set_terminated(run.info.run_id)
        source = f"{run.info.artifact_uri}/model"
        made_version = client.create_model_version(
            self.name, source, run_id=run.info.run_id, tags=tags
        )
        return str(made_version.version)

    def _set_aliases(self, client: Any, number: str, aliases: Sequence[str]) -> None:
        """Let aliases name the version; those that it lost in its state name another there, which
        takes them along when it is registered.
        """
        for alias in aliases:
            client.set_registered_model_alias(self.name, alias, number)
