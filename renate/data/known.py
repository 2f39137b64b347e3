"""What a state knows of its data."""

from dataclasses import dataclass

from renate.data.contract.document import Contract
from renate.data.kept.encoders import KeptEncoder
from renate.data.kept.inputs import Inputs
from renate.data.kept.split import Split
from renate.data.kept.trained import Trained
from renate.problems.base import Problem


@dataclass(frozen=True)
class Known:
    """What a state knows of its data; each is None where it was written before that was kept.

    Attributes:
        problem: What is predicted, with all that was learned of the targets.
        inputs: Names, kinds and shapes.
        split: Which examples are held out.
        encoder: The source's, as it was fitted; None where it had none.
        trained: The files that its versions have trained on, where what they hold isn't to be
            trained on again.
        contract: What its data are held against.
    """

    problem: Problem
    inputs: Inputs | None = None
    split: Split | None = None
    encoder: KeptEncoder | None = None
    trained: Trained | None = None
    contract: Contract | None = None
