"""Redaction of masked lines: masks stand within secrets, and what they leave of one goes as well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.input.redact import redact, redact_masked, without_secrets
from detector.parsing.masking import Masker

FRAGMENT = 8
_CHUNKS = st.from_regex(r"[0-9]{1,8}|[a-z]{1,10}|[A-Za-z0-9]{1,10}", fullmatch=True)


def _joined(separators: str, at_least: int = FRAGMENT) -> st.SearchStrategy[str]:
    """Chunks of digits and letters with separators between them, long enough to be recognized in a raw line."""
    pieces = st.lists(st.tuples(_CHUNKS, st.sampled_from(separators)), min_size=2, max_size=8)
    return pieces.map(lambda pairs: "".join(map("".join, pairs))[:-1]).filter(lambda text: len(text) >= at_least)


_ISSUED = "sk- ghp_ github_pat_ glpat- xoxb- sk_live_ rk_live_ pk_live_ AIza npm_ hf_ dop_v1_"
# What stands around the secret, and the secret.
SHAPES = {f"{prefix}{{}}": _joined("-_", 12) for prefix in _ISSUED.split()} | {
    "Bearer {}": _joined("-_.~+/"),
    "Authorization: Basic {}": _joined("-_."),
    "password={}": _joined("-_.!/:"),
    "user={}": _joined("-_."),
    # Recognized by its letters alone, so some of both cases must be outside the masks.
    "{}": _joined("-", 28).map("Xyz-{}".format),
    "AKIA{}": st.from_regex(r"[0-9A-Z]{16}", fullmatch=True),
    "eyJhbGciOiJIUzI1NiJ9.{}": _joined("-_"),
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.{}": _joined("-_"),
    "{}@mail.example.com": _joined("-_.+"),
    "{}@10.20.30.40": _joined("-_.+"),
    "postgres://admin:{}@db/orders": _joined("-_.,;)"),
}
LINES = ("{}", "open {} done", 'found "{}", 17 times', "at 12:30:45 ({}) from 10.0.0.7:22")


def _left_of(secret: str, text: str) -> list[str]:
    """Fragments of a secret that are in a text."""
    parts = (secret[at : at + FRAGMENT] for at in range(len(secret) - FRAGMENT + 1))
    return [part for part in parts if part in text]


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data())
def test_no_fragment_of_a_secret_survives_masking_and_redaction(shape: str, data: st.DataObject) -> None:
    """Of what is recognized in a raw line, no eight characters in a row are left in the masked one."""
    secret = data.draw(SHAPES[shape])
    line = data.draw(st.sampled_from(LINES)).format(shape.format(secret))
    if not _left_of(secret, redact(line)):
        masked = Masker().mask(line)
        assert _left_of(secret, redact_masked(masked)) == [], masked
        assert _left_of(secret, without_secrets(masked)) == [], masked


@pytest.mark.parametrize(
    ("masked", "shown", "template"),
    [
        ("key sk-<NUM>-abcdefgh used", "key <redacted-secret> used", "key <*> used"),
        ("mail to alice.<NUM>@example.com,", "mail to <redacted-email>,", "mail to <*>"),
        (
            "user=bob took <NUM> ms",
            "user=<redacted-user> took <NUM> ms",
            "<*> took <NUM> ms",
        ),
        ("set password='my <NUM> pass word' now", "set password=<redacted-secret> now", "set <*> <*> <*> <*> now"),
        ("token <ID>-abcdefgh refused", "token <redacted-secret> refused", "token <*> refused"),
        ("open <PATH>,w-ord@db now", "open <redacted-secret>@db now", "open <*> now"),
        ("Bearer abcd-<NUM>-efgh", "Bearer <redacted-secret>", "Bearer <*>"),
    ],
)
def test_what_is_left_of_a_secret_goes_and_the_rest_stays(masked: str, shown: str, template: str) -> None:
    """In a text a marker stands for the secret, in a template the wildcard `<*>` for each word that it touches."""
    assert redact_masked(masked) == shown
    assert without_secrets(masked) == template


@pytest.mark.parametrize(
    "masked",
    [
        "<ID>: error in [<NUM>]:<IP> of part-<NUM>-of-<NUM>, <PATH>(<NUM>)",
        "Receiving block <ID> src: <PATH> dest: <IP> in Request-<NUM>-done",
        "pod web-<HEX>-<NUM> uses <NUM>% of <NUM>/<NUM> <*> <UUID>:<TIME>",
    ],
)
def test_masks_alone_are_no_secret(masked: str) -> None:
    """Masks attached to other text, to each other or to punctuation stay as they are."""
    assert redact_masked(masked) == without_secrets(masked) == masked


def test_users_can_be_kept() -> None:
    """What a model is trained on keeps the names of users, but nothing else that is redacted."""
    text = "user=bob password=x from bob.<NUM>@example.com"
    assert without_secrets(text, keep_users=True) == "user=bob <*> from <*>"


@pytest.mark.parametrize("unit", ["<NUM>-", "sk-<NUM>-", "a.<NUM>@b", "<", "<NUM", "<PATH>,@", "<ID>_"])
def test_a_hostile_masked_text_ends(unit: str) -> None:
    """As long as any masked line can be, of masks and beginnings of secrets; in quadratic time this would not end."""
    assert redact_masked(unit * (100_000 // len(unit)))
