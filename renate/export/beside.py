"""What an exported graph needs of a version's encoder, where that can't be a part of the graph."""

import json
from pathlib import Path

from safetensors.torch import load, save

from renate.data.kept.encoders import Encoder, KeptEncoder, restore
from renate.data.kept.inputs import Inputs
from renate.data.tables.standardize import Standardize
from renate.data.text.encoder import TextEncoder
from renate.errors import StateError
from renate.jobs.predicting.feed import Feed
from renate.jobs.predicting.predictor import Predictor
from renate.jobs.saved.from_state import from_state
from renate.state.contents import checked
from renate.state.strict import mapping, node, parse

FEED = "encoder.json"
TENSORS = "encoder.safetensors"
TOKENIZER = "tokenizer.json"


def write_beside(predictor: Predictor, folder: Path) -> None:
    """Write an encoder that isn't a part of the graph; of texts also its tokenizer alone, which
    the package tokenizers reads.
    """
    encoder = predictor.encoder
    if encoder is None or isinstance(encoder, Standardize):
        return

    kept = KeptEncoder.of(encoder)
    inputs = predictor.feed.inputs
    content = {
        "encoder": kept.node,
        "state": kept.plain,
        "inputs": None if inputs is None else inputs.to_json(),
        "date_format": predictor.feed.date_format,
    }
    (folder / FEED).write_text(json.dumps(content, indent=1, allow_nan=False))
    if kept.tensors:
        (folder / TENSORS).write_bytes(save(kept.tensors))
    if isinstance(encoder, TextEncoder):
        (folder / TOKENIZER).write_bytes(kept.tensors["tokenizer"].numpy().tobytes())


def load_feed(folder: Path) -> Feed:
    """Return what turns raw inputs into the tensors that an exported graph takes: the reverse of
    `write_beside`.

    Raises:
        StateError: There is no encoder, or it can't be read.
    """
    file = folder / FEED
    if not file.is_file():
        raise StateError(f"{folder}: holds no {FEED}: its graph takes raw inputs as they are")

    found = checked(_content, file.read_bytes(), str(file))
    state = dict(found["state"])
    if (folder / TENSORS).is_file():
        state |= load((folder / TENSORS).read_bytes())

    settings = dict(found["encoder"])
    kept = KeptEncoder(settings.pop("_target_"), settings, state)
    encoder = from_state(kept.node, "encoder", Encoder, str(file), ())
    restore(encoder, kept)
    inputs = found["inputs"]
    return Feed(
        None if inputs is None else checked(lambda _: Inputs.from_json(inputs), b"", str(file)),
        encoder,
        date_format=found["date_format"],
    )


def _content(raw: bytes | memoryview) -> dict[str, object]:
    found = mapping(parse(raw), "it", ("encoder", "state", "inputs", "date_format"))
    node(found["encoder"], "encoder")
    return found
