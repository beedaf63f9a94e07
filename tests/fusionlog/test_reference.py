from pathlib import Path

from fusionlog.settings.reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_settings_reference_is_current() -> None:
    """`python -m fusionlog.settings.reference > docs/configuration.md` was run after the last change of a setting."""
    assert PAGE.read_text().strip() == reference().strip()


def test_every_setting_says_what_it_means() -> None:
    """No row of the reference ends in an empty cell."""
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row for row in rows if row.endswith("|  |")] == []
