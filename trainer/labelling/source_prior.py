"""What the labelled source says of the target's lines: general knowledge, carried over by likeness of words."""

from collections.abc import Mapping

import numpy as np

from detector.model.embedding import Embedder
from trainer.data.signatures import Corpus

_PRIOR = 2.0
_NEIGHBOURS = 5
_LEAST_COSINE = 0.4


def event_alarm(source: Corpus) -> dict[str, float]:
    """-1 to 1 for each source event: how much likelier its windows are anomalous than the source's windows are.

    Shrunk toward 0 for events of few windows.
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
    alarm = {}
    for event, (windows, bad) in held.items():
        share = (bad + _PRIOR * base) / (windows + _PRIOR)
        alarm[event] = float((share - base) / (1.0 - base)) if share >= base else float((share - base) / base)
    return alarm


def carried_over(embedder: Embedder, source: Corpus, texts: Mapping[str, str]) -> dict[str, float]:
    """-1 to 1 for each target event: cosine-weighted mean of its nearest source events, 0 where none is alike."""
    alarm = event_alarm(source)
    events = sorted(alarm)
    if not events:
        return {}
    table = embedder.embed_all([source.texts[event] for event in events]).astype(np.float64)
    values = np.array([alarm[event] for event in events])
    result = {}
    for event in sorted(texts):
        cosines = table @ embedder.embed(texts[event]).astype(np.float64)
        nearest = np.argsort(-cosines, kind="stable")[:_NEIGHBOURS]
        weights = np.clip(cosines[nearest] - _LEAST_COSINE, 0.0, None)
        # Divided by a full match's weight and not by their sum: a poor likeness carries little over.
        result[event] = float((weights @ values[nearest]) / max(float(weights.sum()), 1.0 - _LEAST_COSINE))
    return result
