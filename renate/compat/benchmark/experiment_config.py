"""Renate's config file of experiments: model, data and scenario by name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from renate.build import build, shipped
from renate.compat.data.all_scenarios import (
    ClassIncrementalScenario,
    FeatureSortingScenario,
    HueShiftScenario,
    IIDScenario,
    ImageRotationScenario,
    PermutationScenario,
    Scenario,
)
from renate.compat.data.vision_datasets import KNOWN, TorchVisionDataModule
from renate.compat.models.mlp import MultiLayerPerceptron
from renate.compat.models.renate_module import RenateModule
from renate.compat.models.resnet import (
    ResNet,
    ResNet18,
    ResNet18CIFAR,
    ResNet34,
    ResNet34CIFAR,
    ResNet50,
    ResNet50CIFAR,
)
from renate.compat.models.transformer import HuggingFaceSequenceClassificationTransformer
from renate.compat.models.vision_transformer import (
    VisionTransformerB16,
    VisionTransformerB32,
    VisionTransformerCIFAR,
    VisionTransformerH14,
    VisionTransformerL16,
    VisionTransformerL32,
)
from renate.errors import ConfigError, nearest
from renate.libraries.torch import load_tensors

MODELS: dict[str, type[RenateModule]] = {
    "MultiLayerPerceptron": MultiLayerPerceptron,
    "ResNet18": ResNet18,
    "ResNet34": ResNet34,
    "ResNet50": ResNet50,
    "ResNet18CIFAR": ResNet18CIFAR,
    "ResNet34CIFAR": ResNet34CIFAR,
    "ResNet50CIFAR": ResNet50CIFAR,
    "VisionTransformerCIFAR": VisionTransformerCIFAR,
    "VisionTransformerB16": VisionTransformerB16,
    "VisionTransformerB32": VisionTransformerB32,
    "VisionTransformerL16": VisionTransformerL16,
    "VisionTransformerL32": VisionTransformerL32,
    "VisionTransformerH14": VisionTransformerH14,
    "HuggingFaceTransformer": HuggingFaceSequenceClassificationTransformer,
}
GRAY = ("MNIST", "FashionMNIST")
# What a scenario needs besides the data module and the chunk.
NEEDED = {
    "ClassIncrementalScenario": "groupings",
    "FeatureSortingScenario": "num_tasks",
    "HueShiftScenario": "num_tasks",
    "IIDScenario": "num_tasks",
    "ImageRotationScenario": "degrees",
    "PermutationScenario": "num_tasks",
}

SORTING = ("FeatureSortingScenario", "HueShiftScenario")


def model_fn(
    num_outputs: int,
    model_state_url: str | None = None,
    model_name: str | None = None,
    num_inputs: int | None = None,
    num_hidden_layers: int | None = None,
    hidden_size: int | tuple[int, ...] | None = None,
    dataset_name: str | None = None,
    pretrained_model_name_or_path: str | None = None,
) -> RenateModule:
    """Make a model of Renate's, or make it again from its weights.

    Args:
        num_outputs: Outputs.
        model_state_url: A file of weights; None makes a new model.
        model_name: Its class.
        num_inputs: Of a perceptron, values of one example.
        num_hidden_layers: Of a perceptron, hidden layers after the first.
        hidden_size: Of a perceptron, one width, or one for each hidden layer.
        dataset_name: Of a ResNet: says whether its images are grey.
        pretrained_model_name_or_path: Of a text transformer.

    Raises:
        ConfigError: No such model, or an argument that it lacks.
    """
    model = MODELS[_known("model_name", model_name, MODELS)]
    if model_state_url is not None:
        return model.from_state_dict(load_tensors(Path(model_state_url)))

    arguments: dict[str, Any] = {"num_outputs": num_outputs}
    if model is MultiLayerPerceptron:
        arguments |= {
            "num_inputs": _given("num_inputs", num_inputs, "MultiLayerPerceptron"),
            "num_hidden_layers": _given(
                "num_hidden_layers", num_hidden_layers, "MultiLayerPerceptron"
            ),
            "hidden_size": _given("hidden_size", hidden_size, "MultiLayerPerceptron"),
        }
    elif model is HuggingFaceSequenceClassificationTransformer:
        key = "pretrained_model_name_or_path"
        arguments[key] = _given(key, pretrained_model_name_or_path, "HuggingFaceTransformer")
    elif issubclass(model, ResNet) and dataset_name in GRAY:
        arguments["gray_scale"] = True

    return model(**arguments)


def data_module_fn(  # noqa: PLR0913 (its arguments are the keys of Renate's experiments)
    data_path: str,
    chunk_id: int,
    seed: int,
    scenario_name: str,
    dataset_name: str,
    val_size: float = 0.0,
    num_tasks: int | None = None,
    groupings: tuple[tuple[int, ...], ...] | None = None,
    degrees: tuple[int, ...] | None = None,
    input_dim: int | tuple[int, ...] | None = None,
    feature_idx: int | None = None,
    randomness: float | None = None,
) -> Scenario:
    """Make a scenario over one of torchvision's data sets, which are downloaded where they lack.

    Args:
        data_path: Where the data sets lie.
        chunk_id: The scenario's chunk.
        seed: Of everything random in the cut.
        scenario_name: One of Renate's.
        dataset_name: One of torchvision's.
        val_size: The fraction of the training data that is held out.
        num_tasks: How many chunks there are.
        groupings: The classes of each chunk.
        degrees: The angle of each chunk.
        input_dim: Shape of an input; the data say it.
        feature_idx: Of a FeatureSortingScenario, what is sorted by.
        randomness: Of scenarios that sort, how much is swapped afterwards.

    Raises:
        ConfigError: A name that there isn't, or an argument that a scenario lacks.
    """
    _known("dataset_name", dataset_name, KNOWN)
    scenario = _known("scenario_name", scenario_name, NEEDED)
    given = {"num_tasks": num_tasks, "groupings": groupings, "degrees": degrees}
    needed = _given(NEEDED[scenario], given[NEEDED[scenario]], scenario)
    if num_tasks is not None and isinstance(needed, list | tuple) and len(needed) != num_tasks:
        raise ConfigError(
            f"num_tasks={num_tasks}: {NEEDED[scenario]} has {len(needed)} entries, expected one "
            "for each chunk"
        )

    data = TorchVisionDataModule(data_path, dataset_name=dataset_name, val_size=val_size, seed=seed)
    if scenario in SORTING:
        swapped = _given("randomness", randomness, scenario)
        if scenario == "HueShiftScenario":
            return HueShiftScenario(data, needed, swapped, chunk_id, seed)

        feature = _given("feature_idx", feature_idx, scenario)
        return FeatureSortingScenario(data, needed, feature, swapped, chunk_id, seed)
    if scenario == "ClassIncrementalScenario":
        return ClassIncrementalScenario(data, needed, chunk_id)
    if scenario == "IIDScenario":
        return IIDScenario(data, needed, chunk_id, seed)
    if scenario == "ImageRotationScenario":
        return ImageRotationScenario(data, needed, chunk_id, seed)

    return PermutationScenario(data, needed, input_dim, chunk_id, seed)


def train_transform(dataset_name: str) -> Callable[[Tensor], Tensor]:
    """Return what an image [C, H, W] is trained on as: of CIFAR a random crop, mirrored or not,
    normalised; of others itself.
    """
    settings = shipped("compat", "experiments")
    if dataset_name not in settings["normalization"]:
        return nn.Identity()

    return _of_one([*settings["augmentation"], settings["normalization"][dataset_name]])


def test_transform(dataset_name: str) -> Callable[[Tensor], Tensor]:
    """Return what an image [C, H, W] is measured as: of CIFAR normalised, of others itself."""
    settings = shipped("compat", "experiments")
    if dataset_name not in settings["normalization"]:
        return nn.Identity()

    return _of_one([settings["normalization"][dataset_name]])


def _of_one(nodes: Sequence[dict[str, Any]]) -> Callable[[Tensor], Tensor]:
    """Transforms of batches as one of items."""
    steps = nn.Sequential(*(build(node, "transform") for node in nodes))

    def transformed(image: Tensor) -> Tensor:
        batch: Tensor = steps(image[None])
        return batch[0]

    return transformed


def _known(key: str, name: Any, known: Any) -> str:
    if name not in known:
        raise ConfigError(
            f"config_file.{key}={name!r}: expected one of {', '.join(known)}"
            f"{nearest(str(name), known)}"
        )
    return str(name)


def _given(key: str, value: Any, taker: str) -> Any:
    if value is None:
        raise ConfigError(f"config_file.{key}=None: {taker} needs it, give {key}")
    return value
