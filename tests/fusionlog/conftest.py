"""Fixtures that several tests of the command line and the demo need."""

from collections.abc import Callable

import pytest

from schemas.alert import (
    Alert,
    AlertData,
    AlertWindow,
    Evidence,
    Explanation,
    ModelReference,
    NearestSourceEvent,
    TemplateEvidence,
)

MakeAlert = Callable[..., Alert]


def alert_of(sample: str = "disk full", near: NearestSourceEvent | None = None) -> Alert:
    """An alert with one template and one sample."""
    return Alert(
        id="0" * 32,
        source="/fusionlog/local/media",
        subject="mj-1",
        time="2025-03-04T09:12:44Z",
        data=AlertData(
            system="media",
            fingerprint="f" * 16,
            severity_text="ERROR",
            severity_number=17,
            score=0.97,
            threshold=0.5,
            reason=("sequence_model", "new_template"),
            replay=False,
            window=AlertWindow(
                kind="session",
                key="mj-1",
                start="2025-03-04T09:12:44.500Z",
                end="2025-03-04T09:13:02Z",
                lines=17,
                closed_by="watermark",
            ),
            evidence=Evidence(
                templates=(TemplateEvidence(id="a", text="no room on <PATH>", contribution=0.61, novel=True, count=3),),
                samples=(sample,),
            ),
            explanation=Explanation(knowledge="general", nearest_source_event=near, summary="17 lines"),
            model=ModelReference(name="media", version=1, sha256="c" * 64),
        ),
    )


@pytest.fixture
def make_alert() -> MakeAlert:
    """Makes alerts; see `alert_of`."""
    return alert_of


@pytest.fixture
def an_alert() -> Alert:
    """One alert."""
    return alert_of()
