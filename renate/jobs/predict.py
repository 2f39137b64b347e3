"""Answers for the rows of files, by a version; trains and publishes nothing."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from renate.data.fingerprint import expand, is_patterns
from renate.data.images.decode import CorruptError
from renate.data.images.rules import ImageRules
from renate.data.images.sources.listing import image_files
from renate.data.kept.raw import rows_in
from renate.data.named.once import read_once
from renate.data.raw.chunks import RawChunk, chunks_of
from renate.data.raw.image_chunks import file_column, of_files, of_tables, without_corrupt
from renate.data.raw.reader import RawReader
from renate.data.tables.columns import strings
from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.matching import index_columns
from renate.errors import ConfigError, DataError, nearest
from renate.fitting.trainer import device_of
from renate.jobs.builders import dtype_of
from renate.jobs.context import Config, Job
from renate.jobs.predicting.aligned import Aligned
from renate.jobs.predicting.answer_table import AnswerTable, check_outputs
from renate.jobs.predicting.heads import beside_ids, check_named, task_ids
from renate.jobs.predicting.held import HeldAgainst
from renate.jobs.predicting.output import STDOUT, check_output, writing
from renate.jobs.predicting.predictor import Predictor
from renate.jobs.predicting.settings import batch_size_of, listed, one_of
from renate.jobs.saved.deploy import predictor_of
from renate.jobs.saved.given import maker_of
from renate.jobs.saved.published import trusted
from renate.state.aliases.standing import manifest_of
from renate.threads import Threads

READ = 8192  # rows that are read at a time, about
MARKS = ("key", "group", "weight", "task_id")  # keys of `data` whose columns are no inputs
PRINTED = "predictions.jsonl"  # in the job's directory, of output=-


def run(job: Job) -> dict[str, Any]:
    """The job `predict`: the version's own model, transform and encoder; the command's files."""
    began = time.monotonic()
    config = job.config["job"]
    url = job.config["state"]["url"]
    state = job.state(url)
    wanted = config["version"]
    manifest = manifest_of(state, wanted)

    files = files_of(job)
    path = output_of(job, files)
    given = maker_of(job.config["model"]["_target_"]) is not None
    model = job.build("model") if given else None
    predictor = predictor_of(state, manifest, model=model, trust=trusted(job))
    every = one_of("probabilities", config["probabilities"], ("best", "all")) == "all"
    table = AnswerTable(predictor.problem, every=every, keep=listed(config["keep"]))

    count = Prediction(job, predictor, table).into(path, files)
    seconds = time.monotonic() - began
    return {
        "counts": {"rows": count, "seconds": seconds},
        "url": url,
        "predicted": manifest.version,
        "output": str(path),
    }


OF_FOLDERS = "renate.data.images.sources.folder.ImageFolder"
OF_PATHS = "renate.data.images.sources.table.ImageTable"


def files_of(job: Job) -> list[str]:
    """The files of `data.train`: tables, or images.

    Raises:
        ConfigError: The source reads none.
        DataError: A pattern that matches nothing.
    """
    node = job.config["data"]
    target = str(node["_target_"])
    own = target.startswith("renate.data.") and not isinstance(node.get("train"), Mapping)
    if not own or not is_patterns(node.get("train")):
        raise ConfigError(
            f"data._target_={node['_target_']}: job=predict reads files, data=files "
            "data.train='in/*.parquet'; of anything else renate.load_model(…).predict(…) does"
        )

    if target == OF_FOLDERS:
        files, said = image_files(node["train"], "data.train")
    else:
        files, said = read_once(expand(node["train"], "data.train"), "data.train")

    for text in said:
        job.emit({"event": "report", "text": text, "always": True})

    return files


def output_of(job: Job, files: list[str]) -> Path:
    """Where the predictions go."""
    if job.config["output"] == STDOUT:
        return job.directory.path / PRINTED
    return check_output(job.config["output"], files, overwrite=bool(job.config["job"]["overwrite"]))


class Prediction:
    """Predicts for files.

    Args:
        job: Says what is copied and how many rows the model is given at a time.
        predictor: The version.
        table: Makes the output's columns.
    """

    def __init__(self, job: Job, predictor: Predictor, table: AnswerTable) -> None:
        data = job.config["data"]
        trainer = job.config["trainer"]
        self.job = job
        self.table = table
        self.keep = listed(job.config["job"]["keep"])
        surplus = one_of("surplus", job.config["job"]["surplus"], ("error", "ignore"))
        # Where the command names its inputs, others are left out, as they are in training
        self.ignores = surplus == "ignore" or data.get("inputs") is not None
        self.no_inputs = [name for key in MARKS for name in listed(data.get(key))]
        self.batch_size = batch_size_of(job.config["job"]["batch_size"], trainer["eval_batch_size"])
        self.skips = ImageRules(corrupt=data.get("corrupt", "error")).skip
        self.dialect = Dialect.of(data.get("csv"))
        self.threads = Threads.of(trainer)

        check_named(data, predictor.heads)
        self.predictor = predictor.to(device_of(trainer))
        if (dtype := dtype_of(trainer)) is not None:
            self.predictor.to(dtype)
            self.predictor.dtype = dtype

        feed = predictor.feed
        size = feed.image_size
        fit = feed.image_fit
        if size is None:  # the version's images were taken as they are
            size = data.get("image_size")
            fit = data.get("image_fit", fit)

        written = self.dialect.date_format or feed.date_format
        self.reader = RawReader(feed.inputs, feed.encoder, written, size, fit)
        if not self.reader.columns:
            raise DataError(
                "the state's inputs have no names by which columns could be found: "
                "renate.load_model(…).predict(…) takes them as it was given them"
            )

        self.held = HeldAgainst(job, predictor)
        self.images = self._column_of_images(data)
        if data["_target_"] == OF_FOLDERS:
            self.keep = list(dict.fromkeys([file_column(self.images), *self.keep]))

        inputs = feed.inputs
        target = inputs.target if inputs is not None else None
        self.targets = [target, *target.split(", ")] if target else []

    def into(self, path: Path, files: list[str]) -> int:
        """Write the answers for all rows into a file, whole or not at all; return how many."""
        as_text = {name for name, kind in self.reader.columns.items() if kind == "text"}
        rows = self.batch_size * max(1, READ // self.batch_size)
        count = 0
        aligned = Aligned(self.predictor, self.batch_size, self.threads)

        with ExitStack() as opened:
            opened.enter_context(torch.inference_mode())
            write = opened.enter_context(writing(path))
            chunks = self._parts(self._chunks(files, rows, as_text), files)
            for kept, outputs in opened.enter_context(aligned.over(chunks)):
                check_outputs(outputs, count)
                write(self.table(outputs, kept))
                count += len(outputs)

            if not count:
                raise DataError(f"data.train: {', '.join(files[:3])} have no rows")

        return count

    def _column_of_images(self, data: Config) -> str:
        """The state's column of images, where the source has such; else empty.

        Raises:
            DataError: The state has other inputs.
        """
        if data["_target_"] not in (OF_FOLDERS, OF_PATHS):
            return ""

        columns = self.reader.columns
        if list(columns.values()) != ["image"]:
            raise DataError(
                f"data.train names images, the state's inputs are {', '.join(list(columns)[:10])}: "
                "data=files reads them from tables"
            )
        return next(iter(columns))

    def _chunks(self, files: list[str], rows: int, as_text: set[str]) -> Iterator[RawChunk]:
        data = self.job.config["data"]
        if data["_target_"] == OF_FOLDERS:
            return of_files(files, self.images)

        chunks = chunks_of(files, rows, self.dialect, as_text)
        if data["_target_"] == OF_PATHS:
            return of_tables(chunks, self.images, data["folder"])
        return chunks

    def _parts(
        self, chunks: Iterator[RawChunk], files: list[str]
    ) -> Iterator[tuple[Any, Mapping[str, Any] | torch.Tensor]]:
        """What is copied, and the inputs as they are stored, of each chunk."""
        numbers = {file: number for number, file in enumerate(files)}
        for chunk in chunks:
            self.job.tick(numbers[chunk.file], len(files), f"predicting for {chunk.file}")
            if not chunk.table.num_rows:
                continue

            self._check(chunk)
            try:
                raw = self._read(chunk)
            except DataError as error:
                if not self.skips or not isinstance(error.__cause__, CorruptError):
                    raise
                chunk = without_corrupt(chunk, self._read, self._say)
                if not chunk.table.num_rows:
                    continue
                raw = self._read(chunk)

            stored = self.predictor.feed.stored(self.held.look(raw, chunk))
            assert rows_in(stored, chunk.file) == chunk.table.num_rows
            if self.predictor.heads:
                ids = task_ids(str(self.job.config["data"]["task_id"]), chunk)
                stored = beside_ids(stored, ids, self.predictor.heads)
            yield self._kept(chunk), stored

        for text in self.held.conclude():
            self._say(text)

    def _read(self, chunk: RawChunk) -> Any:
        return self.reader.read(chunk.table, chunk.file, chunk.first, chunk.names)

    def _kept(self, chunk: RawChunk) -> Any:
        """What is copied; of images that are files where they are."""
        table = chunk.table.select(self.keep)
        if chunk.names and self.images in self.keep:
            place = self.keep.index(self.images)
            table = table.set_column(place, self.images, strings(chunk.names))
        return table

    def _say(self, text: str) -> None:
        self.job.emit({"event": "report", "text": text, "always": True})

    def _check(self, chunk: RawChunk) -> None:
        """Check that what is to be copied is there, and that nothing is there that isn't known.

        Raises:
            DataError: Naming the column.
        """
        there = chunk.table.column_names
        for name in self.keep:
            if name not in there:
                hint = nearest(name, there) or f" ({', '.join(there[:10])})"
                raise DataError(f"{chunk.file}: no column '{name}', which job.keep names{hint}")

        if self.ignores:
            return

        wanted = self.reader.columns
        spread = self.reader.spread_names
        missing = [name for name in wanted if name not in there]
        index = index_columns(chunk.table.schema)
        known = {*wanted, *spread, *self.targets, *self.no_inputs, *self.keep, *index}
        odd = [name for name in there if name not in known]
        if odd and (not missing or spread):
            raise DataError(
                f"{chunk.file}: column '{odd[0]}' is none of the state's inputs: "
                f"job.keep=['{odd[0]}'] copies it, job.surplus=ignore leaves it out"
            )
