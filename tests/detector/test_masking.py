"""Masks: variable parts are masked, words are kept, in linear time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.parsing.masking import Masker, mask_token
from detector.system import MaskRule


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("src: /10.250.19.102:54106 dest: 10.0.0.1", "src: /<IP> dest: <IP>"),
        ("peer fe80::1%eth0, [2001:db8::8a2e:370:7334]:80 ::1", "peer <IP>, [<IP>]:<NUM> <IP>"),
        ("Foo::10 std::vector a::b", "Foo::<NUM> std::vector a::b"),
        ("block blk_-1608999687919862906 job_200811092030_0001", "block <ID>"),
        ("req-38101a0b-2096-447d-96ea-a692162415ae", "req-<UUID>"),
        ("at 0x00544eb8, 0XDEAD", "at <HEX>, <HEX>"),
        ("sum d41d8cd98f00b204e9800998ecf8427e", "sum <HEX>"),
        ("took 12.5ms, 45% of -3 1,234 3e-5 64MB", "took <NUM>, <NUM> of <NUM>"),
        ("2016-09-28T04:30:30.123Z 10:20:30,123 2016-09-28", "<TIME>"),
        ("GET /v2/x/servers?limit=1 HTTP/1.1", "GET <PATH> HTTP/<NUM>"),
        ("open /etc/passwd. C:\\Users\\bob\\x https://a.b/c?d=e,", "open <PATH> <PATH>,"),
        ("mac 00:11:22:33:44:55", "mac <ID>"),
        ("node-12 worker_3 core.3740", "node-<NUM> worker_<NUM> core.<NUM>"),
        ("L3 eth0 R02-M1-N0 utf8 kB/s and/or", "L3 eth0 R02-M1-N0 utf8 kB/s and/or"),
        ("deadbeef facade", "deadbeef facade"),
        ("  a \t b\u00a0c  ", "a b c"),
        ("", ""),
    ],
)
def test_masks(text: str, masked: str) -> None:
    """Each kind of value becomes its mask, and words that merely hold a digit stay."""
    assert Masker().mask(text) == masked


def test_repeated_masks_collapse() -> None:
    """Lists of values of any length give one line; words that repeat stay."""
    masker = Masker()
    assert masker.mask("delete blk_12345 blk_67890 blk_-11111") == masker.mask("delete blk_12345")
    assert masker.mask("x=[1,2,3]") == "x=[<NUM>]"
    assert masker.mask("ids 1;2;3 4 5") == "ids <NUM>"
    assert masker.mask("very very bad") == "very very bad"


def test_a_line_cannot_bring_a_wildcard() -> None:
    """A literal wildcard in a line is taken apart: learned as a template it would match every line of its length."""
    assert "<*>" not in Masker().mask("<*> a<*>b <<*>> <<*>*>")


def test_extra_rules_come_first_and_may_span_tokens() -> None:
    """A system's own masks are set before the built-in ones, are not masked again, and never insert at no text."""
    rules = [MaskRule(name="JOB_2", pattern=r"job \d+"), MaskRule(name="NOTHING", pattern="z*")]
    assert Masker(rules).mask("start job 17 on 10.0.0.1 zz") == "start <JOB_2> on <IP> <NOTHING>"


def test_tokens_are_capped_in_number_and_length() -> None:
    """Many tokens are cut off, and a token that stays long is one word."""
    assert Masker(max_tokens=3).mask("a b c d e") == "a b c"
    assert Masker(max_tokens=2).mask("1 2 3 4 a b") == "<NUM> a"
    assert Masker().mask("blob " + "wxy1z" * 100) == "blob <LONG>"


def test_a_mask_of_a_mask_is_itself() -> None:
    """Masking a masked line changes nothing, so learned templates can be masked again."""
    masker = Masker()
    for text in ("src: /10.0.0.1:5 a=blk_12345 7", "a/b/c 12:30:45 x::1 /a/b"):
        assert masker.mask(masker.mask(text)) == masker.mask(text)


@given(st.lists(st.text(max_size=30), max_size=8).map(" ".join))
def test_any_text_is_masked_the_same_with_and_without_memory(text: str) -> None:
    """Earlier tokens change no result, and tokens are one space apart."""
    masker = Masker()
    first = masker.mask(text)
    assert masker.mask(text) == first == Masker().mask(text)
    assert first == " ".join(first.split())
    assert "<*>" not in first


HOSTILE = (
    "1 a 0x 1. 1, -1 a1_ /a / a/ :: 1: f: 00: 00- \\a C:\\ <A < 1-2-3- 1.2.3.4: http:// a:// 2020-01-01T 12345678- "
    "blk_1_ é1 <NUM>, 1e ?="
)


@pytest.mark.parametrize("unit", HOSTILE.split())
def test_a_hostile_token_ends(unit: str) -> None:
    """A long token made to mislead a pattern is masked in one go: in quadratic time this test would not end."""
    for end in ("", "x!", "\u0661"):
        assert len(mask_token(unit * (100_000 // len(unit)) + end)) <= 128
