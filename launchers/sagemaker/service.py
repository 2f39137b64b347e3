"""SageMaker itself, by its SDK, which is imported here and only once a job is submitted."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from renate.errors import ConfigError
from renate.jobs.directory import Json

from ..terminal.console import command
from .failures import explained, refusal

RUNNING = ("InProgress", "Stopping")
GIVE = "backend.role=arn:aws:iam::<account>:role/<name>"
# They tell of each client.
TALKATIVE = ("sagemaker", "sagemaker.config", "sagemaker.core", "botocore", "boto3")


class Service:
    """An account in a region.

    Args:
        region: None is that of the profile or of the environment.
    """

    def __init__(self, region: str | None) -> None:
        self.given = region
        self.lock = threading.Lock()  # jobs are submitted from several threads

    @cached_property
    def session(self) -> Any:
        """boto3's, whose clients no longer tell of each request. Raises ConfigError without a
        region.
        """
        import boto3

        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)

        with explained():
            session = boto3.Session(region_name=self.given)

        if session.region_name is None:
            raise ConfigError(
                "backend.region=null: neither the profile nor AWS_DEFAULT_REGION names a region"
            )

        return session

    @property
    def region(self) -> str:
        """Where it is."""
        return str(self.session.region_name)

    @property
    def _where(self) -> Json:
        return {"session": self.session, "region": self.region}

    @property
    def shape(self) -> Any:
        """What CreateTrainingJob may be given, as the API's own model has it."""
        from sagemaker.core.resources import TrainingJob

        client = TrainingJob.get_sagemaker_client(self.session, self.region)
        return client.meta.service_model.operation_model("CreateTrainingJob").input_shape

    def role(self) -> str:
        """The role of this environment, for a job to run as.

        Raises:
            ConfigError: It has none, as on a laptop, or can't be asked.
        """
        from botocore.exceptions import ConnectionError as NoConnection
        from sagemaker.core.helper.session_helper import Session, get_execution_role

        with explained():
            session = Session(boto_session=self.session)
            try:
                role: str = get_execution_role(session)
            except NoConnection as error:
                raise ConfigError(
                    "backend.role=null: AWS can't be asked for the role of this environment "
                    f"({' '.join(str(error).split())}): give {GIVE}"
                ) from error
            except ValueError as error:
                caller = session.get_caller_identity_arn()
                raise ConfigError(
                    f"backend.role=null: you are {caller}, no role that a job could run as; "
                    f"give {GIVE}"
                ) from error

        return role

    def create(self, request: Json) -> None:
        """Submit.

        Raises:
            JobError, ConfigError: The service refuses; see `failures`.
            FileExistsError: The name is taken; by this very request, if its answer had been lost.
        """
        from sagemaker.core.resources import TrainingJob
        from sagemaker.core.utils.code_injection.codec import transform

        with self.lock, self._answered(request):
            TrainingJob.create(**transform(request, "CreateTrainingJobRequest"), **self._where)

    def job(self, name: str) -> Any | None:
        """A training job, as described now; None if there is none of that name."""
        from botocore.exceptions import ClientError
        from sagemaker.core.resources import TrainingJob

        with self.lock, explained():
            try:
                return TrainingJob.get(name, **self._where)
            except ClientError as error:
                if "not found" in error.response["Error"]["Message"]:
                    return None
                raise

    def stop(self, name: str) -> None:
        """Ask a job to end; one that has ended is left alone."""
        job = self.job(name)
        if job is None or job.training_job_status != "InProgress":
            return
        with self.lock, explained():
            job.stop()

    def how_to(self, verb: str, name: str) -> str:
        """The command that does something with a training job, from anywhere."""
        where = []
        if self.given:
            where = ["--region", self.given]

        return command([], "jobs", verb, name, "--backend", "sagemaker", *where)

    @contextmanager
    def _answered(self, request: Json) -> Iterator[None]:
        from botocore.exceptions import ClientError

        with explained():
            try:
                yield
            except ClientError as error:
                if error.response["Error"]["Code"] == "ResourceInUse":
                    raise FileExistsError(request["TrainingJobName"]) from error
                raise refusal(error, request) from error
