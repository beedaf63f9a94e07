"""Reads the published model back, for its name and its templates."""

from collections.abc import Callable

from broker.registry.artifacts import load_artifact, open_store
from broker.registry.records import read_models
from broker.settings import KafkaSettings
from detector.artifact.export import unpack
from detector.model.detection_model import DetectionModel
from detector.partition_reader import InputRecord, SystemReader
from detector.system import SystemSpec
from fusionlog.demo.generator import GeneratedLine
from fusionlog.errors import DemoError
from schemas.topics import Topics


def load_champion(kafka: KafkaSettings, topics: Topics, system: str) -> DetectionModel:
    """The model that serves a system.

    Raises:
        DemoError: none is published.
    """
    pointer = read_models(kafka, topics).champion(system)
    if pointer is None:
        raise DemoError(f"a model of {system} must be published, got none on {topics.models}")
    files = load_artifact(open_store(pointer.store, kafka, topics), pointer.sha256)
    return unpack(files, pointer.sha256, version=pointer.version)


def novelty_of(model: DetectionModel, spec: SystemSpec) -> Callable[[GeneratedLine], bool]:
    """A function that says whether a line matches no template of the model."""
    reader = SystemReader(spec, model.matcher)

    def is_new(line: GeneratedLine) -> bool:
        return any(read.event.novel for read in reader.lines(InputRecord(0, line.text.encode(), line.time_ms)))

    return is_new
