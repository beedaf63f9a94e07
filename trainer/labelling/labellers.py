"""Which labeller a run uses, as something that can be sent to where it works and be built there."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainer.data.signatures import Corpus
from trainer.labelling.base import Labeller
from trainer.labelling.collector import PromptHasher
from trainer.labelling.heuristic import HeuristicLabeller, corpus_fingerprint, mine_evidence
from trainer.labelling.openai_compatible import OpenAILabeller
from trainer.labelling.recorded import RecordedLabeller
from trainer.labelling.rules.evidence import EvidenceModel
from trainer.settings import TrainerSettings


@dataclass(frozen=True)
class HeuristicPlan:
    """Builds heuristic labellers."""

    evidence: EvidenceModel
    fingerprint: str

    def __call__(self, workers: int) -> HeuristicLabeller:
        """A labeller for one of `workers` workers."""
        del workers
        return HeuristicLabeller(self.evidence, self.fingerprint)


@dataclass(frozen=True)
class RecordedPlan:
    """Hands recorded labellers out; the file is read once, where it lies."""

    labeller: RecordedLabeller

    def __call__(self, workers: int) -> RecordedLabeller:
        """A labeller for one of `workers` workers."""
        del workers
        return self.labeller


@dataclass(frozen=True)
class OpenAIPlan:
    """Builds labellers that share an endpoint: each gets its part of concurrency and tokens."""

    settings: TrainerSettings

    def __call__(self, workers: int) -> OpenAILabeller:
        """A labeller for one of `workers` workers."""
        return OpenAILabeller(self.settings.openai, workers)


Plan = HeuristicPlan | RecordedPlan | OpenAIPlan


def make_plan(settings: TrainerSettings, target: Corpus, source_alarm: Mapping[str, float]) -> Plan:
    """The plan that the settings ask for.

    Raises:
        LabellerError: recorded answers cannot be read.
    """
    if settings.labeller == "recorded":
        assert settings.recorded is not None
        return RecordedPlan(RecordedLabeller(settings.recorded.answers))
    if settings.labeller == "openai":
        return OpenAIPlan(settings)
    return HeuristicPlan(mine_evidence(target, source_alarm), corpus_fingerprint(target))


def make_hasher(plan: Plan) -> PromptHasher:
    """What names questions as the plan's labellers do."""
    labeller: Labeller = plan(1)
    assert isinstance(labeller, HeuristicLabeller | RecordedLabeller | OpenAILabeller)
    return labeller
