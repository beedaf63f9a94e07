"""The labeller that needs no LLM and no truth: what the unlabelled windows, and the words in them, say of each other.

It mines rules that nearly all windows keep (`invariants`), reads how alarming rare lines sound (`lexicon`) and what the
labelled source says of lines like them (`source_alarm`), and abstains where the evidence is thin. Nothing in it knows a
data set.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.data.signatures import Corpus
from trainer.labelling.base import Answer, Label, Question, SystemCard
from trainer.labelling.rules.evidence import EvidenceModel, probability

NAME = "heuristic"
_ANOMALOUS, _NORMAL = 0.6, 0.4
_VOTE_SIMILARITY = 0.9
_VOTE_GAIN = 0.8
_UNDECIDED = 1.0


class HeuristicLabeller:
    """Labels from evidence in the corpus itself.

    Args:
        evidence: mined from the target's unlabelled windows.
        fingerprint: of the corpus that it was mined from; part of every prompt hash, since answers depend on it.
    """

    name = NAME

    def __init__(self, evidence: EvidenceModel, fingerprint: str) -> None:
        self._evidence = evidence
        self._fingerprint = fingerprint

    def label(self, questions: Sequence[Question], card: SystemCard) -> list[Answer]:
        """One answer a question; a group's evidence is that of its windows, weighted by how many there are."""
        windows = [runs for question in questions for runs in question.runs]
        judged = self._evidence.judge(windows)
        answers, start = [], 0
        for question in questions:
            rows = slice(start, start + len(question.runs))
            start += len(question.runs)
            odds = float(np.average(judged.log_odds[rows], weights=np.array(question.weights, np.float64)))
            suspect = judged.suspects[rows][0]
            label, confidence = verdict(odds + self._vote(question, odds))
            answers.append(
                Answer(
                    group=question.group,
                    label=label,
                    confidence=confidence,
                    evidence=(self._evidence.events[suspect],) if suspect >= 0 and label == "anomalous" else (),
                    reason=judged.reasons[rows][0] if label == "anomalous" else "",
                    giver=NAME,
                    prompt_hash=self.prompt_hash(question, card),
                )
            )
        return answers

    def prompt_hash(self, question: Question, card: SystemCard) -> str:
        """Hash of what is asked; neighbours are left out, since they change as answers come in."""
        told = repr((NAME, self._fingerprint, card.system, question.runs, question.weights))
        return hashlib.sha256(told.encode()).hexdigest()

    def _vote(self, question: Question, odds: float) -> float:
        """Neighbours that have an answer decide only where the window's own evidence does not."""
        near = [other for other in question.neighbours if other.similarity >= _VOTE_SIMILARITY]
        if abs(odds) > _UNDECIDED or not near:
            return 0.0
        return _VOTE_GAIN * float(np.mean([_signed(other.label) * other.confidence for other in near]))


def verdict(log_odds: float) -> tuple[Label, float]:
    """Label and confidence; between the thresholds, an abstention."""
    p = float(probability(np.array([log_odds]))[0])
    label: Label = "anomalous" if p >= _ANOMALOUS else "normal" if p <= _NORMAL else "abstain"
    return label, round(min(max(p, 1.0 - p), 0.99), 4)


def mine_evidence(corpus: Corpus, source_alarm: Mapping[str, float]) -> EvidenceModel:
    """Evidence model of a corpus."""
    kept = [signature for signature in corpus.signatures if signature.runs]
    windows, weights = [signature.runs for signature in kept], [float(signature.windows) for signature in kept]
    return EvidenceModel(windows, weights, corpus.texts, source_alarm)


def corpus_fingerprint(corpus: Corpus) -> str:
    """Hash of a corpus' windows and texts."""
    digest = hashlib.sha256(repr(sorted(corpus.texts.items())).encode())
    for signature in corpus.signatures:
        digest.update(f"{signature.id} {signature.windows}\n".encode())
    return digest.hexdigest()


def _signed(label: str) -> float:
    return 1.0 if label == "anomalous" else -1.0 if label == "normal" else 0.0
