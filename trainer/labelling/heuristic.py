"""A labeller that needs neither an LLM nor labels: it scores windows against rules mined from the unlabelled corpus.

Evidence are broken rules that nearly all windows keep (`rules.invariants`), alarming words in rare lines
(`rules.lexicon`) and the labels of similar lines of the source (`source_prior`). Where the evidence is weak, it
abstains. Nothing here is specific to a data set.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from detector.model.calibration import sigmoid
from trainer.data.signatures import Corpus
from trainer.labelling.base import Answer, Label, LabellerInputs, MakeLabeller, Question, SameLabeller
from trainer.labelling.rules.evidence import EvidenceModel

NAME = "heuristic"
_ANOMALOUS, _NORMAL = 0.6, 0.4
_VOTE_SIMILARITY = 0.9
_VOTE_GAIN = 0.8
_UNDECIDED = 1.0


class HeuristicLabeller:
    """Labels from evidence in the corpus itself.

    Args:
        evidence: mined from the target's unlabelled windows.
        corpus: that it was mined from; its hash is part of every prompt hash, since answers depend on it.
    """

    name = NAME

    def __init__(self, evidence: EvidenceModel, corpus: Corpus) -> None:
        self._evidence = evidence
        self._system = corpus.system
        self._corpus_hash = corpus_hash(corpus)

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question; a group's log-odds are the mean over its examples, weighted by their windows."""
        windows = [runs for question in questions for runs in question.runs]
        scores = self._evidence.score(windows)
        answers, start = [], 0
        for question in questions:
            rows = slice(start, start + len(question.runs))
            start += len(question.runs)
            odds = float(np.average(scores.log_odds[rows], weights=np.array(question.weights, np.float64)))
            suspect = scores.suspects[rows][0]
            label, confidence = label_of_odds(odds + self._vote(question, odds))
            answers.append(
                Answer(
                    group=question.group,
                    label=label,
                    confidence=confidence,
                    evidence=(self._evidence.events[suspect],) if suspect >= 0 and label == "anomalous" else (),
                    reason=scores.reasons[rows][0] if label == "anomalous" else "",
                    labeller=NAME,
                    prompt_hash=self.prompt_hash(question),
                )
            )
        return answers

    def prompt_hash(self, question: Question) -> str:
        """Hash of corpus and question."""
        asked = repr((NAME, self._corpus_hash, self._system, question.runs, question.weights))
        return hashlib.sha256(asked.encode()).hexdigest()

    def _vote(self, question: Question, odds: float) -> float:
        """Answers of neighbors count only where the window's own evidence is undecided."""
        near = [other for other in question.neighbors if other.similarity >= _VOTE_SIMILARITY]
        if abs(odds) > _UNDECIDED or not near:
            return 0.0
        return _VOTE_GAIN * float(np.mean([_signed(other.label) * other.confidence for other in near]))


def label_of_odds(log_odds: float) -> tuple[Label, float]:
    """Label and confidence; between the thresholds, an abstention."""
    p = float(sigmoid(np.array([log_odds]))[0])
    label: Label = "anomalous" if p >= _ANOMALOUS else "normal" if p <= _NORMAL else "abstain"
    return label, round(min(max(p, 1.0 - p), 0.99), 4)


def make_heuristic(inputs: LabellerInputs) -> MakeLabeller:
    """The `build` of its row in the table of labellers."""
    return SameLabeller(HeuristicLabeller(EvidenceModel(inputs.target, inputs.source_prior), inputs.target))


def corpus_hash(corpus: Corpus) -> str:
    """Hash of a corpus' windows and texts."""
    digest = hashlib.sha256(repr(sorted(corpus.texts.items())).encode())
    for signature in corpus.signatures:
        digest.update(f"{signature.id} {signature.windows}\n".encode())
    return digest.hexdigest()


def _signed(label: str) -> float:
    return 1.0 if label == "anomalous" else -1.0 if label == "normal" else 0.0
