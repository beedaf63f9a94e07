"""The manifest of a model artifact: what the model is, which files belong to it, and what it is checked by.

The artifact's id is the SHA-256 of the manifest's bytes; the manifest names the hash and size of every other file.
"""

from typing import Any

import msgspec

from detector.model.calibration import Calibration
from detector.model.detection_model import TemplateInfo
from detector.model.runs import Runs
from detector.model.shape import NetworkShape
from schemas.codec import Record


class FileEntry(msgspec.Struct, frozen=True):
    """Hash and size that a file of the artifact must have."""

    sha256: str
    bytes: int


class GoldenWindow(msgspec.Struct, frozen=True):
    """A window of the model's own templates and the score it had when the artifact was made."""

    runs: Runs
    score: float


class GoldenLine(msgspec.Struct, frozen=True):
    """A synthetic line and the id of the template that it was parsed to when the artifact was made."""

    line: str
    template_id: str


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where the model comes from.

    Attributes:
        source_offsets, target_offsets: first and last offset (or line) read, by `topic/partition` (or file).
        seeds: seed of each random choice, by name.
        libraries: versions of the libraries that trained it, by name.
    """

    source_offsets: dict[str, tuple[int, int]] = {}
    target_offsets: dict[str, tuple[int, int]] = {}
    seeds: dict[str, int] = {}
    libraries: dict[str, str] = {}


class Manifest(Record, frozen=True, kw_only=True):
    """`manifest.json`. The version is not in it: the pointer on the models topic gives one.

    Attributes:
        files: every other file of the artifact.
        spec: the `SystemSpec` as JSON; `spec_fingerprint` its fingerprint.
        threshold: calibrated probability from which a window is anomalous.
        general_cosine: similarity to the source from which an event counts as general knowledge.
        labeller: what labelled the target's windows: `heuristic`, a model's name, `recorded`.
        metrics: figures of the training that need no true labels.
        transfer_readiness: agreement of the source-only model with the labeller where audited; None without audit.
        golden: windows with their scores; `golden_lines`: synthetic lines with their template ids. Since version 1.1.
    """

    schema_version: str = "1.1"
    files: dict[str, FileEntry]
    system: str
    created_ms: int
    spec: dict[str, Any]
    spec_fingerprint: str
    network: NetworkShape
    embedding: str
    calibration: Calibration = Calibration()
    threshold: float = 0.5
    general_cosine: float = 0.5
    labeller: str = ""
    source_system: str = ""
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    transfer_readiness: float | None = None
    lineage: Lineage = Lineage()
    golden: tuple[GoldenWindow, ...] = ()
    golden_lines: tuple[GoldenLine, ...] = ()


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """`templates.json`: the target's templates, the source's, and the weights of words.

    Attributes:
        word_vectors: words in the order of the tensor `word_vectors`; empty without pre-trained vectors.
    """

    templates: tuple[TemplateInfo, ...]
    source_texts: tuple[str, ...]
    idf: dict[str, float]
    unseen_idf: float
    word_vectors: tuple[str, ...] = ()
