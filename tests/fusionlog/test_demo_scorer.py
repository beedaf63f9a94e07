import pytest

from fusionlog.demo.scorer import ScoredWindow, score


def window(key: str, alerted: bool = False, line: str = "lvl=info all is well", new: bool = False) -> ScoredWindow:
    """A scored window of one line."""
    return ScoredWindow(key, alerted, (line,), new)


TRUTH = {"a": "", "b": "", "c": "crash", "d": "crash", "e": "slow"}


def test_precision_recall_and_recall_by_kind() -> None:
    """Three alerts, of which two are right, for three failures."""
    scores = score([window(key, key in "acd") for key in "abcde"], TRUTH)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.recall == pytest.approx(2 / 3)
    assert scores.f1 == pytest.approx(2 / 3)
    assert scores.recall_by_failure_kind == {"crash": 1.0, "slow": 0.0}
    assert (scores.windows, scores.anomalous, scores.alerts) == (5, 3, 3)


def test_nothing_found_is_zero_and_no_division_by_zero() -> None:
    """Without alerts precision is 0, without failures recall is 0."""
    assert score([window("c")], TRUTH).f1 == 0.0
    assert score([window("a", alerted=True)], TRUTH).recall == 0.0
    assert score([], TRUTH).f1 == 0.0


@pytest.mark.parametrize(
    "line",
    ["lvl=error mod=x boom", "lvl=warn mod=x odd", "lvl=info call timed out", "lvl=info Connection refused"],
)
def test_the_keyword_rule_reads_levels_and_words(line: str) -> None:
    """A severity or an alarming word is enough for one of the rules, and the best rule counts."""
    assert score([window("a"), window("c", line=line)], TRUTH).keyword_f1 == 1.0


def test_a_scary_but_harmless_line_costs_the_keyword_rule() -> None:
    """A false alarm of a rule lowers its figure as it lowers ours."""
    windows = [window("a", line="lvl=error failed"), window("c", line="lvl=error failed"), window("d")]
    assert score(windows, TRUTH).keyword_f1 == pytest.approx(0.5)


def test_new_templates_are_scored_on_the_same_windows() -> None:
    """The new-template rule flags windows with a new template, right or wrong."""
    assert score([window("a", new=True), window("c", new=True)], TRUTH).new_template_f1 == pytest.approx(2 / 3)


def test_windows_of_other_data_are_refused() -> None:
    """A key that is absent from the truth is an error, not a normal session."""
    with pytest.raises(KeyError):
        score([window("z")], TRUTH)
