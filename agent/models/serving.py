"""What scores windows: a model, or the baseline that serves before the first model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detector.model.baseline import NoveltyBaseline
from detector.model.detection_model import DetectionModel
from detector.model.explain import Contribution, explain
from detector.model.runs import Runs, counts_of
from detector.model.scoring import Scorer
from schemas.alert import ModelReference, NearestSourceEvent

TOP_TEMPLATES = 5


@dataclass(frozen=True)
class Reasons:
    """Why a window is anomalous.

    Attributes:
        names: `sequence_model`, `new_template`, `unusual_length`.
        contributions: the events that carry the score, strongest first.
        knowledge: `general`, `proprietary`, or `baseline`.
    """

    names: tuple[str, ...]
    contributions: tuple[Contribution, ...]
    knowledge: str
    nearest: NearestSourceEvent | None = None


@dataclass(frozen=True)
class Verdict:
    """Score of a window, and the reasons if it is anomalous."""

    score: float
    reasons: Reasons | None = None

    @property
    def anomalous(self) -> bool:
        """Whether the score reached the threshold."""
        return self.reasons is not None


class ModelServing:
    """A verified model.

    Raises:
        RuntimeError: the device is absent.
    """

    def __init__(self, model: DetectionModel, device: str = "cpu") -> None:
        self.reference = ModelReference(
            name=model.name, version=model.version, sha256=model.sha256, labeller=model.labeller
        )
        self.threshold = model.threshold
        self.matcher = model.matcher
        self._scorer = Scorer(model, device)

    def score(self, windows: Sequence[Runs], texts: Mapping[str, str]) -> list[Verdict]:
        """Verdict of each window; `texts` has the text of every event id that the model may lack."""
        scores = [float(score) for score in self._scorer.score(windows, texts)]
        return [
            Verdict(score, self._reasons(runs, texts) if self._scorer.is_anomalous(score) else None)
            for runs, score in zip(windows, scores, strict=True)
        ]

    def _reasons(self, runs: Runs, texts: Mapping[str, str]) -> Reasons:
        contributions, source, knowledge = explain(self._scorer, runs, texts, limit=TOP_TEMPLATES)
        novel = any(found.novel and found.contribution > 0 for found in contributions)
        return Reasons(
            names=("sequence_model", "new_template") if novel else ("sequence_model",),
            contributions=tuple(contributions),
            knowledge=knowledge,
            nearest=None if source is None else NearestSourceEvent(text=source.text, cosine=round(source.cosine, 6)),
        )


class BaselineServing:
    """The declared fallback before a first model: new templates and unusual lengths. Version 0.

    Each partition has a baseline of its own, so that its scores depend on that partition's windows alone.
    """

    def __init__(self, baseline: NoveltyBaseline | None = None) -> None:
        self.baseline = baseline or NoveltyBaseline()
        self.threshold = self.baseline.threshold
        self.reference = ModelReference(name="baseline", version=0, sha256="", labeller="baseline")

    def score(self, windows: Sequence[Runs], texts: Mapping[str, str]) -> list[Verdict]:
        """Verdicts, learning from each window in turn."""
        return [self._verdict(runs, texts) for runs in windows]

    def _verdict(self, runs: Runs, texts: Mapping[str, str]) -> Verdict:
        new = self.baseline.new_templates(runs)
        score = self.baseline.score(runs)
        if score < self.threshold:
            return Verdict(score)
        counts = counts_of(runs)
        shown = new or sorted(counts, key=lambda event_id: (-counts[event_id], event_id))
        contributions = tuple(
            Contribution(event_id, texts[event_id], score / len(shown), event_id in new, counts[event_id])
            for event_id in shown[:TOP_TEMPLATES]
        )
        return Verdict(score, Reasons(("new_template",) if new else ("unusual_length",), contributions, "baseline"))


Serving = ModelServing | BaselineServing
"""What scores windows; used by one thread at a time."""
