"""What a training run came to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingReport:
    """A run's result; label-free figures only.

    Attributes:
        system: the target.
        version: number on the models topic; 0 when the model was not published.
        sha256: the artifact's id.
        labeller: who labelled.
        metrics: figures of the manifest.
        transfer_readiness: see `trainer.learning.evaluation`; None where the audit had nothing general.
        counts: lines, windows, signatures, templates, answers.
        seconds: wall time.
        retrieval: `milvus`, or `exact` where Milvus could not be used.
        warnings: what the operator should know before trusting the model.
        out: folder with the artifact, if one was asked for.
    """

    system: str
    version: int
    sha256: str
    labeller: str
    metrics: Mapping[str, float]
    transfer_readiness: float | None
    counts: Mapping[str, int]
    seconds: float
    retrieval: str
    out: Path | None = None
    warnings: tuple[str, ...] = ()
