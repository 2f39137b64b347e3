"""Renate's transformers and its text data module, on folders, without a network."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from renate.errors import ConfigError, DataError
from tests.command import workers_kept_warm

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("datasets")
pytestmark = pytest.mark.slow  # importing transformers alone takes seconds

TEXTS = {0: ["good film", "a good one"], 1: ["bad film", "a bad one"]}

CONFIG = """
import torch
from transformers import AutoTokenizer

from renate.benchmark.datasets.nlp_datasets import HuggingFaceTextDataModule
from renate.benchmark.models.transformer import HuggingFaceSequenceClassificationTransformer


def model_fn(model_state_url=None):
    if model_state_url is None:
        return HuggingFaceSequenceClassificationTransformer("bert", num_outputs=2)
    weights = torch.load(str(model_state_url))
    return HuggingFaceSequenceClassificationTransformer.from_state_dict(weights)


def data_module_fn(data_path):
    tokenizer = AutoTokenizer.from_pretrained("bert")
    return HuggingFaceTextDataModule(
        data_path, tokenizer, dataset_name="texts", tokenizer_kwargs={}, val_size=0.25
    )
"""


@pytest.fixture(autouse=True)
def _warm(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Here both were imported before: each would ask the Hub for a minute
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with workers_kept_warm():
        yield


@pytest.fixture
def bert(workdir: Path) -> Path:
    """A tiny network of random weights and a tokenizer of words, in a folder."""
    config = transformers.BertConfig(
        vocab_size=10,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    transformers.BertModel(config).save_pretrained(workdir / "bert")
    words = ["[PAD]", "[UNK]", "good", "bad", "film", "a", "one"]
    level = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]")
    tokenizer = tokenizers.Tokenizer(level)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    )
    fast.save_pretrained(workdir / "bert")
    return workdir / "bert"


@pytest.fixture
def texts(workdir: Path) -> Path:
    folder = workdir / "texts"
    folder.mkdir()
    rows = [{"text": text, "label": label} for label in TEXTS for text in TEXTS[label]]
    for part, times in (("train", 10), ("test", 2)):
        lines = [json.dumps(row) for row in rows * times]
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_the_text_transformer(bert: Path) -> None:
    from renate.benchmark.models.transformer import HuggingFaceSequenceClassificationTransformer

    made = HuggingFaceSequenceClassificationTransformer(str(bert), num_outputs=3).eval()
    inputs = {"input_ids": torch.tensor([[2, 4, 0]]), "attention_mask": torch.tensor([[1, 1, 0]])}
    network = transformers.AutoModel.from_pretrained(bert).eval()
    with torch.no_grad():
        pooled = network(**inputs).pooler_output
        expected = made.get_predictor()(pooled)
        assert torch.equal(made(inputs), expected)

    assert {name.split(".")[0] for name in made.state_dict()} == {
        "_backbone",
        "_tasks_params",
        "class_means",
        "_extra_state",
    }
    shutil.rmtree(bert)  # a state says itself how its network is made
    again = HuggingFaceSequenceClassificationTransformer.from_state_dict(made.state_dict()).eval()
    with torch.no_grad():
        assert torch.allclose(again(inputs), expected, atol=1e-6)


def test_a_vision_transformer() -> None:
    from renate.benchmark.models import VisionTransformerCIFAR

    made: Any = VisionTransformerCIFAR(num_outputs=4).eval()
    config = made.get_backbone().config
    assert (config.hidden_size, config.num_hidden_layers, config.patch_size) == (192, 3, 4)
    inputs = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        outputs = made(inputs)
        again = VisionTransformerCIFAR.from_state_dict(made.state_dict()).eval()
        assert torch.equal(again(inputs), outputs)
    assert outputs.shape == (2, 4)


def test_pretrained_names_may_be_folders(workdir: Path) -> None:
    from renate.benchmark.models import VisionTransformerB16

    config = transformers.ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=8,
        patch_size=4,
    )
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained("vit")
    made: Any = VisionTransformerB16(pretrained_model_name_or_path="vit", num_outputs=3)
    again: Any = VisionTransformerB16(pretrained_model_name_or_path="vit", num_outputs=3)
    inputs = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(made.eval().get_features(inputs), again.eval().get_features(inputs)), (
            "the weights in the folder, not random ones"
        )


def test_checkpoints_are_loaded_whole_and_in_32_bits(workdir: Path) -> None:
    """Transformers gives them in the file's precision, and what they lack at random."""
    from safetensors.torch import load_file, save_file

    from renate.benchmark.models.vision_transformer import VisionTransformer

    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8, "patch_size": 4}
    config = transformers.ViTConfig(hidden_size=8, intermediate_size=8, **sizes)
    transformers.ViTModel(config).to(torch.bfloat16).save_pretrained("vit")
    made = VisionTransformer("vit", num_outputs=3)
    assert {each.dtype for each in made.parameters()} == {torch.float32}
    assert made(torch.rand(2, 3, 8, 8)).shape == (2, 3)

    path = "vit/model.safetensors"
    tensors = load_file(path)
    lost = next(name for name in tensors if "layer" in name)
    del tensors[lost]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="=vit: it has no weights for 'layer"):
        VisionTransformer("vit")


def test_vision_transformers_that_cant_be_made() -> None:
    from renate.benchmark.models import VisionTransformerCIFAR

    with pytest.raises(ConfigError, match="num_attention_heads=5: hidden_size=192 is no multiple"):
        VisionTransformerCIFAR(num_heads=5)
    with pytest.raises(ConfigError, match="patch_size=5: image_size=32 is no multiple"):
        VisionTransformerCIFAR(patch_size=5)


def test_what_isnt_there(bert: Path, texts: Path) -> None:
    from renate.benchmark.datasets.nlp_datasets import HuggingFaceTextDataModule
    from renate.benchmark.models.transformer import HuggingFaceSequenceClassificationTransformer

    with pytest.raises(ConfigError, match="pretrained_model_name_or_path=nix: neither a folder"):
        HuggingFaceSequenceClassificationTransformer("nix")

    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    with pytest.raises(DataError, match="no column 'txt', did you mean 'text'"):
        HuggingFaceTextDataModule("d", tokenizer, "texts", input_column="txt").prepare_data()
    with pytest.raises(DataError, match="dataset_name=nix: neither a folder"):
        HuggingFaceTextDataModule("d", tokenizer, "nix").prepare_data()
    with pytest.raises(ConfigError, match="tokenizer: a str"):
        HuggingFaceTextDataModule("d", "bert")


def test_texts_are_padded_as_renate_did(bert: Path, texts: Path) -> None:
    from renate.benchmark.datasets.nlp_datasets import HuggingFaceTextDataModule

    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    module = HuggingFaceTextDataModule("d", tokenizer, "texts", val_size=0.25)
    module.setup()
    train: Any = module.train_data()
    held: Any = module.val_data()
    assert (len(train), len(held)) == (30, 10)
    inputs, target = train[0]
    assert {name: tuple(each.shape) for name, each in inputs.items()} == {
        "input_ids": (128,),
        "attention_mask": (128,),
    }
    assert int(target) in (0, 1)


def test_two_updates_on_texts(bert: Path, texts: Path) -> None:
    """Of different lengths, padded for each batch; the second goes on from the first."""
    from renate.state.versions import State
    from renate.training import run_training_job

    Path("renate_config.py").write_text(CONFIG)
    for state, output in ((None, "first"), ("first", "second")):
        run_training_job(
            # Steps enough that no machine's own rounding leaves a text unlearned
            config_space={"learning_rate": 0.01, "memory_size": 10, "batch_size": 8},
            mode="max",
            metric="val_accuracy",
            max_epochs=12,
            config_file="renate_config.py",
            input_state_url=state,
            output_state_url=output,
        )

    state = State("second")
    scores = json.loads(bytes(state.read(state.manifest(), "metrics.json")))["after"]
    assert scores["test"]["accuracy"] == 1.0
