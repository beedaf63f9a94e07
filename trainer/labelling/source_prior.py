"""Source prior: how anomalous events of the target are by the labels of similar events of the source."""

from collections.abc import Mapping

import numpy as np

from detector.model.embedding import Embedder
from trainer.data.signatures import Corpus

_PRIOR = 2.0
_NEIGHBORS = 5
_LEAST_COSINE = 0.4


def event_prior(source: Corpus) -> dict[str, float]:
    """-1 to 1 per source event: how much more often its windows are anomalous than all windows of the source.

    Shrunk toward 0 for events in few windows.
    """
    labelled = [signature for signature in source.signatures if signature.label is not None]
    total = sum(signature.windows for signature in labelled)
    anomalous = sum(signature.windows * float(signature.label or 0.0) for signature in labelled)
    if not total:
        return {}
    base = (anomalous + 1.0) / (total + 2.0)
    held: dict[str, list[float]] = {}
    for signature in labelled:
        for event in signature.counts():
            sums = held.setdefault(event, [0.0, 0.0])
            sums[0] += signature.windows
            sums[1] += signature.windows * float(signature.label or 0.0)
    prior = {}
    for event, (windows, bad) in held.items():
        share = (bad + _PRIOR * base) / (windows + _PRIOR)
        prior[event] = float((share - base) / (1.0 - base)) if share >= base else float((share - base) / base)
    return prior


def source_prior(embedder: Embedder, source: Corpus, texts: Mapping[str, str]) -> dict[str, float]:
    """-1 to 1 per target event: cosine-weighted mean over its nearest source events, 0 where none is similar."""
    prior = event_prior(source)
    events = sorted(prior)
    if not events:
        return {}
    table = embedder.embed_all([source.texts[event] for event in events]).astype(np.float64)
    values = np.array([prior[event] for event in events])
    result = {}
    for event in sorted(texts):
        cosines = table @ embedder.embed(texts[event]).astype(np.float64)
        nearest = np.argsort(-cosines, kind="stable")[:_NEIGHBORS]
        weights = np.clip(cosines[nearest] - _LEAST_COSINE, 0.0, None)
        # Divided by at least the weight of a full match, so that low similarities give a prior near 0.
        result[event] = float((weights @ values[nearest]) / max(float(weights.sum()), 1.0 - _LEAST_COSINE))
    return result
