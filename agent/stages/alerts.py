"""From a scored window to the records that are written: alert, closed window, late line. Pure functions.

Every text from a log line, a template or a model is redacted here. A window's key is not: it is the identifier that
the operator's settings name, and window ids are made of it.
"""

import hashlib
import json
from datetime import UTC, datetime
from functools import lru_cache

from agent.models.serving import Reasons, Serving, Verdict
from detector.input.redact import redact, redact_masked
from detector.windowing.state import Late, Window
from schemas.alert import (
    Alert,
    AlertData,
    AlertWindow,
    Evidence,
    Explanation,
    NearestSourceEvent,
    SourceRange,
    TemplateEvidence,
)
from schemas.closed_window import ClosedWindow, event_hash
from schemas.late_line import LateLine

ERROR_SCORE = 0.9
SEVERITIES = {"ERROR": 17, "WARN": 13}  # OpenTelemetry severity numbers
FINGERPRINT_TEMPLATES = 3
LEAST_CONTRIBUTION = 0.25  # nats; an event with less is not named as the cause
TEXT_CHARACTERS = 512
_SCORE_DIGITS = 6
_line_text = lru_cache(maxsize=1)(redact)  # a line that is late for several keys is redacted once


def build_alert(window: Window, verdict: Verdict, serving: Serving, *, source: str, replay: bool = False) -> Alert:
    """The alert of an anomalous window; equal windows, models and settings give equal bytes."""
    reasons = verdict.reasons
    assert reasons is not None
    severity = "ERROR" if verdict.score >= ERROR_SCORE else "WARN"
    return Alert(
        id=window.id,
        source=source,
        subject=window.key,
        time=rfc3339(window.end_ms),
        data=AlertData(
            system=window.system,
            fingerprint=fingerprint(window.system, reasons),
            severity_text=severity,
            severity_number=SEVERITIES[severity],
            score=round(verdict.score, _SCORE_DIGITS),
            threshold=serving.threshold,
            reason=reasons.names,
            replay=replay,
            window=AlertWindow(
                kind=window.kind,
                key=window.key,
                start=rfc3339(window.start_ms),
                end=rfc3339(window.end_ms),
                lines=len(window.offsets),
                closed_by=window.closed_by,
                truncated=window.truncated,
            ),
            evidence=_evidence(window, reasons),
            explanation=Explanation(
                knowledge=reasons.knowledge,
                nearest_source_event=_nearest(reasons),
                summary=_summary(window, reasons),
            ),
            model=serving.reference,
        ),
    )


def fingerprint(system: str, reasons: Reasons) -> str:
    """Groups alerts of one kind: hash of system, the top contributing templates, and the reasons."""
    # Rounded, so that the last digits of a GPU's arithmetic do not decide between templates that weigh the same.
    ranked = sorted((-round(found.contribution, 2), found.event_id) for found in reasons.contributions)
    strong = [event_id for weight, event_id in ranked if -weight >= LEAST_CONTRIBUTION]
    top = (strong or [event_id for _, event_id in ranked])[:FINGERPRINT_TEMPLATES]
    text = json.dumps([system, sorted(top), sorted(reasons.names)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def closed_window(window: Window, verdict: Verdict, serving: Serving, *, replay: bool = False) -> ClosedWindow:
    """The record of a closed window."""
    return ClosedWindow(
        id=window.id,
        system=window.system,
        kind=window.kind,
        key=window.key,
        topic=window.topic,
        partition=window.partition,
        offsets=window.offsets,
        indexes=window.indexes,
        event_hash=event_hash(window.offsets, window.event_ids, window.indexes),
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        closed_by=window.closed_by,
        truncated=window.truncated,
        score=verdict.score,
        threshold=serving.threshold,
        anomalous=verdict.anomalous,
        model=serving.reference,
        replay=replay,
    )


def late_line(late: Late, system: str, topic: str, partition: int) -> LateLine:
    """The record of a line that came after its window had been closed."""
    return LateLine(
        system=system,
        key=late.key,
        topic=topic,
        partition=partition,
        offset=late.offset,
        index=late.index,
        event_time_ms=late.event_time_ms,
        watermark_ms=late.watermark_ms,
        template_id=late.event_id,
        text=_line_text(late.text),
    )


def rfc3339(milliseconds: int) -> str:
    """UTC time with milliseconds and `Z`; years beyond the calendar are clamped to its ends."""
    try:
        moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (OverflowError, OSError, ValueError):
        moment = datetime.max.replace(tzinfo=UTC) if milliseconds > 0 else datetime.min.replace(tzinfo=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0") + f"{milliseconds % 1000:03d}Z"


def _evidence(window: Window, reasons: Reasons) -> Evidence:
    rank = {found.event_id: place for place, found in enumerate(reasons.contributions)}
    # Lines of the events that carry the score come first; the others follow in the window's order.
    samples = sorted(window.samples, key=lambda sample: rank.get(sample[0], len(rank)))
    return Evidence(
        templates=tuple(
            TemplateEvidence(
                id=found.event_id,
                text=redact_masked(found.text)[:TEXT_CHARACTERS],
                contribution=round(found.contribution, _SCORE_DIGITS),
                novel=found.novel,
                count=found.count,
            )
            for found in reasons.contributions
        ),
        samples=tuple(redact(text) for _, text in samples),
        source=(
            SourceRange(
                topic=window.topic,
                partition=window.partition,
                first=window.offsets[0],
                last=window.offsets[-1],
                first_index=window.indexes[0] if window.indexes else 0,
                last_index=window.indexes[-1] if window.indexes else 0,
            ),
        ),
    )


def _nearest(reasons: Reasons) -> NearestSourceEvent | None:
    nearest = reasons.nearest  # it is text of another system, so it may hold that system's names and addresses
    return nearest and NearestSourceEvent(text=redact_masked(nearest.text)[:TEXT_CHARACTERS], cosine=nearest.cosine)


def _summary(window: Window, reasons: Reasons) -> str:
    lines = f"{len(window.offsets)} line{'s' if len(window.offsets) != 1 else ''}"
    if not reasons.contributions:
        return f"{lines}; the window as a whole is unlike normal ones"
    top = reasons.contributions[0]
    text = redact_masked(top.text)[:TEXT_CHARACTERS]
    if reasons.knowledge == "baseline":
        why = "never seen before" if top.novel else "in a window of unusual length"
        return f"{lines}; “{text}”: {why} (no model yet)"
    nearest = _nearest(reasons)
    like = f", most like “{nearest.text}” of the source" if nearest else ""
    if top.contribution < LEAST_CONTRIBUTION:
        return f"{lines}; no event carries the score alone: several, their order or number; first “{text}”{like}"
    return f"{lines}; strongest evidence “{text}”{' (new)' if top.novel else ''}{like}"
