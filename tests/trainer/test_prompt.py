from collections.abc import Sequence
from dataclasses import replace

import pytest

from detector.input.redact import SECRET
from trainer.labelling.base import Neighbor, Question, SystemProfile
from trainer.labelling.prompt import event_names, read_answer, user_prompt

SECRETS = {
    place: f"password=canary-{place}"
    for place in ("profile-event", "group", "row", "example-row", "window-id", "neighbor-label", "neighbor")
}


SPLIT_BY_MASKS = "key sk-<NUM>-canary0 of canary.<NUM>@example.com, Bearer <NUM>-canaryauth"


def _prompt(secrets: dict[str, str]) -> str:
    """A prompt with one text in every field of question and profile."""
    question = Question(
        group=secrets["group"],
        windows=2,
        runs=((("e1", 1), ("e2", 2)), (("e3", 1),)),
        weights=(1, 1),
        texts={"e1": secrets["row"], "e2": "done", "e3": secrets["example-row"]},
        example_window_ids=(secrets["window-id"],),
        neighbors=(Neighbor(((secrets["neighbor"], 1),), secrets["neighbor-label"], 0.9, 0.8),),
    )
    return user_prompt(question, SystemProfile(10, ((secrets["profile-event"], 0.5),)))


def test_no_secret_in_any_field_reaches_a_prompt() -> None:
    """A canary in each text of question, neighbor and profile is redacted or not sent at all."""
    assert "canary" not in _prompt(dict.fromkeys(SECRETS, SPLIT_BY_MASKS))
    prompt = _prompt(SECRETS)
    assert "canary" not in prompt
    assert prompt.count(SECRET.replace("<", "\\u003c").replace(">", "\\u003e")) >= 3


@pytest.mark.parametrize("place", ["profile-event", "row", "neighbor-label"])
def test_the_canaries_stand_in_texts_that_are_sent(place: str) -> None:
    """Without a secret the same text is in the prompt, so the test above looks where it should."""
    assert f"harmless-{place}" in _prompt({name: f"harmless-{name}" for name in SECRETS})


def test_the_reason_of_a_reply_is_redacted() -> None:
    """A model can repeat what it reads; the ledger keeps its reason without secrets."""
    answer = read_answer('{"label": "normal", "confidence": 1, "reason": "bob@example.org logged in"}', {})
    assert answer is not None
    assert "bob" not in answer[3]


@pytest.mark.parametrize("count", [60, 61, 200])
def test_a_long_window_is_shown_by_both_of_its_ends(count: int) -> None:
    """At most thirty rows of each end are sent, and the number of rows between them is named."""
    runs = tuple((f"e{number}", 1) for number in range(count))
    texts = {event: f"step {event}." for event, _ in runs}
    question = Question("g", 1, (runs,), (1,), texts)
    prompt = user_prompt(question, SystemProfile(1))
    shown: Sequence[str] = [event for event, _ in runs if f"step {event}." in prompt]
    assert len(shown) == min(count, 60)
    assert (f"{count - 60} rows left out" in prompt) == (count > 60)
    assert len(event_names(runs)) == count
    assert user_prompt(replace(question, neighbors=()), SystemProfile(1)) == prompt
