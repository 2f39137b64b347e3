"""`renate export`: a version for use where there is no renate, or in a registry."""

import argparse

from renate.errors import ConfigError

FORMATS = ("torch_export", "onnx", "safetensors", "mlflow", "sagemaker")


def run(argv: list[str]) -> None:
    """The verb."""
    parser = argparse.ArgumentParser(
        prog="renate export",
        description="Write a version in a format that others read, and compare its answers; or "
        "take it to a registry: renate export URL publish=mlflow publish.name=digits",
    )
    parser.add_argument("url", help="the state")
    parser.add_argument(
        "overrides", nargs="*", help="publish=…, in place of --format, and its keys"
    )
    parser.add_argument("--version", help="a number or a name; default: the one in use")
    parser.add_argument("--format", help=", ".join(FORMATS))
    parser.add_argument("-o", "--output", help="a new folder")
    parser.add_argument(
        "--trust", action="append", default=[], help="a module of your own that the version names"
    )
    asked = parser.parse_intermixed_args(argv)
    if asked.overrides:
        _publish(asked)
        return

    if asked.format is None or asked.output is None:
        raise ConfigError("renate export needs --format and -o FOLDER, or publish=…")

    from renate.export.export import export

    done = export(asked.url, asked.output, asked.format, asked.version, trust=asked.trust)
    print(f"version     {done.version} of {asked.url}, as {done.format}")
    print(f"compared    on {done.examples} examples ({done.origin}): {done.difference:.1g} apart")
    if done.origin == "made up":
        print("            no real ones are kept: a memory, a gate or shift=reference keeps some")
    print(f"output      {done.folder}")


def _publish(asked: argparse.Namespace) -> None:
    """Take a version to the registry that `publish=` names.

    Raises:
        ConfigError: Something else is asked for, or a value can't be right.
        RenateError: It couldn't be registered.
    """
    from omegaconf import OmegaConf

    from renate.export.registries.base import registry_of, take_to
    from renate.launchers.composing.session import opened

    others = [line for line in asked.overrides if not line.startswith(("publish=", "publish."))]
    if others or asked.format is not None or asked.output is not None:
        odd = others[0] if others else "--format and -o"
        raise ConfigError(f"{odd}: expected publish=… and its keys, or --format and -o FOLDER")

    with opened(asked.overrides) as (_, whole, _):
        missing = sorted(OmegaConf.missing_keys(whole.publish))
        if missing:
            raise ConfigError(f"publish needs {', '.join(f'publish.{key}=…' for key in missing)}")
        node = OmegaConf.to_container(whole.publish, resolve=True)

    registry = registry_of(node, asked.trust)
    if registry is None:
        raise ConfigError("publish=none names no registry: expected one of conf/publish")
    print(f"registered  {take_to(registry, asked.url, asked.version, asked.trust)}")
