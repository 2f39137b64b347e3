"""The role that jobs on SageMaker run as."""

from renate.errors import ConfigError


def get_execution_role() -> str:
    """Return the ARN of this environment's role, as a notebook or a Studio space has one.

    Raises:
        ConfigError: The extra isn't installed, or there is no role here.
    """
    from renate.launchers.sagemaker.check import check_extra
    from renate.launchers.sagemaker.service import Service

    check_extra()
    role = Service(None).role()
    if not role:
        raise ConfigError("role: this environment has none: give its ARN, role='arn:aws:iam::…'")
    return role
