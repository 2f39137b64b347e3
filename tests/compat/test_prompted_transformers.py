"""Renate's prompted transformers by their names, below the updaters that have the prompts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from renate.errors import ConfigError
from renate.state.versions import State
from renate.training import run_training_job
from tests.command import workers_kept_warm

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

CONFIG = """
import torch
from torch.utils.data import TensorDataset

from renate.benchmark.models import LearningToPromptTransformer, SPromptTransformer
from renate.data.data_module import RenateDataModule

MODELS = {{
    "l2p": (LearningToPromptTransformer, dict(pool_size=4, pool_selection_size=2, prompt_size=3)),
    "s": (SPromptTransformer, dict(prompt_size=3, clusters_per_task=2)),
}}


def model_fn(model_state_url=None):
    make, arguments = MODELS["{kind}"]
    if model_state_url is None:
        return make("vit", num_outputs=3, **arguments)
    return make.from_state_dict(torch.load(str(model_state_url)))


class Noise(RenateDataModule):
    def prepare_data(self):
        pass

    def setup(self):
        generator = torch.Generator().manual_seed(0)
        targets = torch.arange(60) % 3
        images = torch.rand(60, 3, 8, 8, generator=generator) + targets[:, None, None, None]
        dataset = TensorDataset(images, targets)
        self._train_data, self._val_data = self._split_train_val_data(dataset)
        self._test_data = dataset


def data_module_fn(data_path):
    return Noise(data_path=data_path, val_size=0.2)


def loss_fn():
    return torch.nn.CrossEntropyLoss(reduction="none")
"""


@pytest.fixture(autouse=True)
def _vit(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tiny network of random weights in a folder, and no Hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
    )
    torch.manual_seed(0)
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained("vit")
    with workers_kept_warm():
        yield


@pytest.mark.parametrize(
    ("kind", "updater", "prompts"),
    [
        ("l2p", "LearningToPrompt", "pool [4, 3, 16]"),
        ("l2p", "LearningToPromptReplay", "pool [4, 3, 16]"),
        ("s", "SPeft", "prompt.now [1, 3, 16]"),
    ],
)
def test_two_updates(kind: str, updater: str, prompts: str) -> None:
    Path("renate_config.py").write_text(CONFIG.format(kind=kind))
    for before, after in ((None, "first"), ("first", "second")):
        run_training_job(
            config_space={"learning_rate": 0.01, "batch_size": 8},
            mode="max",
            metric="val_accuracy",
            max_epochs=1,
            config_file="renate_config.py",
            input_state_url=before,
            output_state_url=after,
            updater=updater,
        )

    state = State("second")
    newest = state.newest()
    assert newest is not None
    from renate.jobs.saved.from_state import tensors_of

    tensors = tensors_of(state, newest, "updater")
    name, _, shape = prompts.partition(" ")
    assert str(list(tensors[name].shape)) == shape, "as the model says"
    assert int(tensors["updates"]) == 2


def test_the_network_is_renates_and_its_own_weights_make_it_again() -> None:
    from renate.benchmark.models import VisionTransformerB16
    from renate.benchmark.models.l2p import LearningToPromptTransformer, PromptedTransformer

    plain: Any = VisionTransformerB16(pretrained_model_name_or_path="vit", num_outputs=3).eval()
    made: Any = LearningToPromptTransformer("vit", num_outputs=3, prompt_key_dim=16).eval()
    assert isinstance(made, PromptedTransformer)
    inputs = torch.rand(2, 3, 8, 8)
    assert torch.equal(made.features(inputs), plain.get_features(inputs))
    again = LearningToPromptTransformer.from_state_dict(made.state_dict()).eval()
    assert torch.equal(again(inputs), made(inputs))
    assert again.prompt_settings == made.prompt_settings


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"patch_pooler": "cls"}, "patch_pooler='cls': this package has only 'prompt_mean'"),
        ({"similarity_fn": "dot"}, "similarity_fn='dot': this package has only 'cosine'"),
        ({"prompt_key_dim": 768}, "prompt_key_dim=768: this package has only 16"),
        ({"pool_sise": 3}, "it has no argument 'pool_sise'"),
    ],
)
def test_what_only_renate_has(arguments: dict[str, Any], said: str) -> None:
    from renate.benchmark.models import LearningToPromptTransformer

    with pytest.raises(ConfigError, match=said):
        LearningToPromptTransformer("vit", **arguments)
