"""What is trained from logs with secrets holds none of them."""

from detector.parsing.templates import TemplateMatcher, template_id
from detector.system import SystemSpec
from trainer.data.corpus import build_corpus
from trainer.data.lines import TargetLine
from trainer.data.template_sample import learn_templates
from trainer.export import template_infos

SPEC = SystemSpec(name="orders", key_pattern=r"order=(\S+)")
SECRETS = ("sk-1234-canarykey", "canary.1985@example.com", "password=canary7")


def line(offset: int, text: str) -> TargetLine:
    """A line of the one partition."""
    return TargetLine(f"order={offset} {text}".encode(), 1_000 * offset, "raw", 0, offset)


def test_no_template_of_a_model_holds_a_secret() -> None:
    """Learned, known before, or a line that matches none: no text has it, and each id is that of its text."""
    lines = [line(number, f"sent with {secret}") for number, secret in enumerate(SECRETS)]
    learned = learn_templates(
        [*lines, line(9, "user=bob in")], SPEC, existing=[f"old {SECRETS[2]} <NUM>", "sk-<NUM>-canarykey"]
    )
    texts = ["old <*> <NUM>", "order=<NUM> sent with <*>", "order=<NUM> user=bob in"]
    assert [template.text for template in learned] == texts
    unmatched = [line(10 + number, f"later line about {secret} came") for number, secret in enumerate(SECRETS)]
    corpus = build_corpus([*lines, *unmatched, line(20, "a plain one")], SPEC, TemplateMatcher(learned))
    assert "canary" not in repr(corpus.texts)
    infos = template_infos(learned, corpus, {})
    assert "canary" not in repr(infos)
    assert all(info.id == template_id(info.text) for info in infos)


def test_a_line_that_is_a_secret_alone_becomes_no_template() -> None:
    """Its template would be a wildcard, which takes in every line of one word."""
    spec = SystemSpec(name="words")
    lines = [TargetLine(secret.encode(), 0, "raw", 0, number) for number, secret in enumerate((*SECRETS, "started"))]
    assert [template.text for template in learn_templates(lines, spec)] == ["started"]


def test_a_known_template_of_wildcards_stays() -> None:
    """Drain makes `<*>` of lines of one varying word; only a secret's remains are left out."""
    assert [template.text for template in learn_templates([], SPEC, existing=["<*>", "sk-<NUM>-canarykey"])] == ["<*>"]
