"""Why a window has its score: the contribution of each event, its nearest source event, and the kind of knowledge."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from detector.model.runs import Runs, counts_of, merged
from detector.model.scoring import Scorer
from schemas.alert import NearestSourceEvent

Knowledge = Literal["general", "proprietary"]

_MAX_EVENTS = 64
_CERTAIN = 1e-9  # scores nearer to 0 or 1 count as this near
_TIE = 1e-9  # cosines that differ by less are the same number computed twice (docs/method.md#similarity-and-routing)


@dataclass(frozen=True)
class Contribution:
    """An event of the window and its share of the score.

    Attributes:
        contribution: log-odds of the window's score minus those without this event, in nats; negative where the
            event lowers it. In log-odds, since near a score of 0.99 differences of probabilities vanish.
        novel: whether the model has no template for it.
        count: lines of it in the window.
    """

    event_id: str
    text: str
    contribution: float
    novel: bool
    count: int


def explain(
    scorer: Scorer, runs: Runs, texts: Mapping[str, str], limit: int = 5
) -> tuple[list[Contribution], NearestSourceEvent | None, Knowledge]:
    """Contributions, strongest first, at most `limit`; the strongest one's nearest source event; the kind of knowledge.

    Each event is left out once and all these windows are scored together. Knowledge is `general` when even the event
    least like the source is above the model's boundary (paper section III-B), else `proprietary`. Of a window with more
    than 64 distinct events, those least like the source are tried.

    Raises:
        DetectorError: an event id is neither the model's nor in `texts`.
    """
    model = scorer.model
    resolved = merged([(scorer.resolve(event_id, texts), run) for event_id, run in runs])
    counts = counts_of(resolved)
    if not counts:
        return [], None, "general"
    known = model.template_by_id
    text_of = {event_id: known[event_id].text if event_id in known else texts[event_id] for event_id in counts}
    sources = {event_id: model.nearest_source(event_id, text_of[event_id]) for event_id in counts}
    tried = sorted(counts, key=lambda event_id: (sources[event_id][1], event_id))[:_MAX_EVENTS]
    without = [merged([step for step in resolved if step[0] != event_id]) for event_id in tried]
    # These windows do not occur in the stream; in the cache they would only displace real ones.
    whole, *rest = scorer.score([resolved, *without], texts, remember=False)
    contributions = [
        Contribution(
            event_id, text_of[event_id], log_odds(whole) - log_odds(score), event_id not in known, counts[event_id]
        )
        for event_id, score in zip(tried, rest, strict=True)
    ]
    contributions.sort(key=lambda found: (-found.contribution, found.event_id))
    text, cosine = sources[contributions[0].event_id]
    bottleneck = min(cosine for _, cosine in sources.values())
    general = bottleneck >= model.general_cosine - _TIE
    return (
        contributions[:limit],
        NearestSourceEvent(text=text, cosine=cosine) if text else None,
        "general" if general else "proprietary",
    )


def log_odds(score: float) -> float:
    """Log-odds of a probability, in nats; finite for 0 and 1, too."""
    bounded = min(max(float(score), _CERTAIN), 1.0 - _CERTAIN)
    return math.log(bounded / (1.0 - bounded))
