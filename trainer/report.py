"""The result of a training run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.learning.evaluation import TrainingMetrics


@dataclass(frozen=True)
class TrainingReport:
    """A run's result; label-free figures only.

    Attributes:
        system: the target.
        version: number on the models topic; 0 when the model was not published.
        sha256: the artifact's id.
        counts: lines, windows, signatures, templates, answers.
        seconds: wall time.
        retrieval: `milvus`, or `exact` where Milvus could not be used.
        out: folder with the artifact, where one was requested.
        warnings: what the operator should know before trusting the model.
        refused: why the model was not promoted: the history cannot carry it.
    """

    system: str
    version: int
    sha256: str
    labeller: str
    metrics: TrainingMetrics
    counts: Mapping[str, int]
    seconds: float
    retrieval: str
    out: Path | None = None
    warnings: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, as `fusionlog train --json` prints it: metrics flat, by the manifest's names."""
        fields = asdict(self)
        fields["metrics"] = self.metrics.flat()
        return fields | {"transfer_readiness": self.metrics.transfer_readiness}
