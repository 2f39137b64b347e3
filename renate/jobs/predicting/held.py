"""What is predicted for, held against a contract."""

from typing import Any

from renate.data.contract.document import Contract
from renate.data.contract.inspection import Inspection
from renate.data.contract.rules import Rules
from renate.data.contract.text import read_contract
from renate.data.raw.chunks import RawChunk
from renate.jobs.context import Job
from renate.jobs.predicting.predictor import Predictor


class HeldAgainst:
    """Chunks of files held against the contract that the config names, else the version's.

    Args:
        job: Says what a violation leads to.
        predictor: The version.

    Raises:
        ConfigError: There is no such contract, or a rule can't be.
    """

    def __init__(self, job: Job, predictor: Predictor) -> None:
        self.predictor = predictor
        rules = Rules.of(job.config.get("contract"))
        named = job.config["data"].get("contract")
        contract = predictor.contract
        if named is not None:
            contract = read_contract(str(named))

        if contract is None or not rules:
            contract = Contract()
        self.inspection = Inspection(contract, rules, "inputs")

    def look(self, raw: Any, chunk: RawChunk) -> Any:
        """Return a chunk's raw inputs as the rules ask.

        Raises:
            DataError: A value that isn't in the contract, where that fails.
        """

        def place(row: int) -> str:
            if chunk.names:
                return chunk.names[row]
            return f"{chunk.file} row {chunk.first + row}"

        columns = tuple(self.predictor.feed.reader.columns.items())
        return self.inspection.look(raw, columns, self.predictor.encoder, place)

    def conclude(self) -> list[str]:
        """Return what there is to say of all rows.

        Raises:
            DataError: Too many values aren't there, where that fails.
        """
        return self.inspection.conclude()
