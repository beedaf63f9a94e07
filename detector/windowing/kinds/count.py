"""Windows of a number of lines (paper section II)."""

from detector.windowing.kinds.base import WindowKind


class CountWindows(WindowKind):
    """`max_lines` lines of a key, whatever their times."""
