"""The router: which windows hold general knowledge, shared with the labelled source (paper section III-B)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import structlog

from detector.model.detection_model import nearest
from detector.model.embedding import Embedder
from trainer.data.signatures import Corpus, Signature

Floats = npt.NDArray[np.float64]
Aggregate = Callable[[Floats, tuple[str, ...]], float]
"""From the similarities of a window's distinct events, and their ids, to the window's score."""

_TIE = 1e-9
_MIN_SHARE = 0.05
_BACKBONE_SHARE = 0.95
_LEAST_GENERAL = 0.2


@dataclass(frozen=True)
class EventSimilarity:
    """Similarity of an event to the source, and the text of the most similar source event."""

    cosine: float
    nearest: str


@dataclass(frozen=True)
class RoutingStatistics:
    """How the scores of the windows are distributed.

    Attributes:
        general_share: share of windows that are general.
        score_events_correlation, score_length_correlation: a minimum over more events is smaller; a strong negative
            value means that "proprietary" is just another word for "long".
    """

    general_share: float
    distinct_scores: float
    score_events_correlation: float
    score_length_correlation: float
    score_q10: float
    score_q50: float
    score_q90: float


@dataclass(frozen=True)
class Routing:
    """Which signatures count as general knowledge.

    Attributes:
        scores: [n] similarity of each signature to the source.
        general: [n] whether it is at least `tau`.
        tau: mean score over windows.
        aggregation: how event similarities became a score: `min`, or the fallback that was used.
        degenerate: the paper's rule (minimum, cut at the mean) did not separate the windows.
        statistics: figures for log and manifest; None without a signature.
    """

    scores: Floats
    general: npt.NDArray[np.bool_]
    tau: float
    aggregation: str
    degenerate: bool
    statistics: RoutingStatistics | None


def event_similarities(
    embedder: Embedder, texts: Mapping[str, str], source_texts: Sequence[str]
) -> dict[str, EventSimilarity]:
    """Best cosine of each event to the source's events, in double precision; 0 and no text where none is positive."""
    table = embedder.embed_all(source_texts)
    similarities = {}
    for event in sorted(texts):
        text, cosine = nearest(embedder.embed(texts[event]), table, source_texts)
        similarities[event] = EventSimilarity(cosine, text)
    return similarities


def route(corpus: Corpus, similarities: Mapping[str, EventSimilarity]) -> Routing:
    """Score every signature by its least similar event and cut at the mean of the scores.

    Where these scores do not separate the windows, the least similar event outside the backbone, the tenth percentile
    and the mean are tried, in this order.
    """
    signatures = corpus.signatures
    weights = np.array([signature.windows for signature in signatures], np.float64)
    cosine = {event: similarity.cosine for event, similarity in similarities.items()}
    held, total = corpus.windows_of_events(), corpus.windows
    backbone = frozenset(event for event, windows in held.items() if windows / total >= _BACKBONE_SHARE)
    attempts: tuple[tuple[str, Aggregate], ...] = (
        ("min", lambda values, _events: float(np.min(values))),
        ("min without backbone", lambda values, events: _without(values, events, backbone)),
        ("tenth percentile", lambda values, _events: float(np.quantile(values, 0.1))),
        ("mean", lambda values, _events: float(np.mean(values))),
    )
    scores, name, bad = np.zeros(len(signatures)), "min", True
    for name, aggregate in attempts:  # noqa: B007 (the name of the last attempt is the result)
        scores = np.array([_score(signature, cosine, aggregate) for signature in signatures])
        bad = _is_degenerate(scores, weights)
        if not bad:
            break
    tau = float(np.average(scores, weights=weights)) if len(scores) else 0.0
    general = scores >= tau - _TIE
    if len(scores) and not general.any():
        general = scores >= np.quantile(scores, 1.0 - _LEAST_GENERAL)
    degenerate = name != "min" or bad
    statistics = _statistics(signatures, scores, weights, general)
    structlog.get_logger(__name__).info(
        "router.scored",
        aggregation=name,
        degenerate=degenerate,
        tau=round(tau, 4),
        **({key: round(value, 4) for key, value in asdict(statistics).items()} if statistics else {}),
    )
    return Routing(scores, general, tau, name, degenerate, statistics)


def _score(signature: Signature, cosine: Mapping[str, float], aggregate: Aggregate) -> float:
    events = tuple(sorted(signature.counts()))
    if not events:
        return 0.0
    values = np.array([cosine[event] for event in events])
    return aggregate(values, events)


def _without(values: Floats, events: tuple[str, ...], backbone: frozenset[str]) -> float:
    kept = [value for value, event in zip(values, events, strict=True) if event not in backbone]
    return float(min(kept)) if kept else float(np.min(values))


def _is_degenerate(scores: Floats, weights: Floats) -> bool:
    if not len(scores):
        return True
    mean = np.average(scores, weights=weights)
    share = float(weights[scores >= mean - _TIE].sum() / weights.sum())
    variance = float(np.average((scores - mean) ** 2, weights=weights))
    distinct = len(np.unique(np.round(scores, 9)))
    return variance < 1e-8 or not _MIN_SHARE <= share <= 1.0 - _MIN_SHARE or distinct <= 2  # noqa: PLR2004


def _statistics(
    signatures: Sequence[Signature], scores: Floats, weights: Floats, general: npt.NDArray[np.bool_]
) -> RoutingStatistics | None:
    if not len(scores):
        return None
    unique = np.array([len(signature.counts()) for signature in signatures], np.float64)
    length = np.array([sum(run for _, run in signature.runs) for signature in signatures], np.float64)
    return RoutingStatistics(
        general_share=float(weights[general].sum() / weights.sum()),
        distinct_scores=float(len(np.unique(np.round(scores, 9)))),
        score_events_correlation=_correlation(scores, unique),
        score_length_correlation=_correlation(scores, length),
        score_q10=float(np.quantile(scores, 0.1)),
        score_q50=float(np.quantile(scores, 0.5)),
        score_q90=float(np.quantile(scores, 0.9)),
    )


def _correlation(left: Floats, right: Floats) -> float:
    if left.std() < 1e-12 or right.std() < 1e-12:  # noqa: PLR2004
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])
