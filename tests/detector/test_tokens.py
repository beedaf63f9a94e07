"""Words of templates."""

import pytest

from detector.parsing.tokens import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "BLOCK* NameSystem.addStoredBlock: blockMap updated: <IP>:<NUM> is added",
            "block name system add stored block block map updated ip num is added",
        ),
        ("HTTPServer TorusTreeGI", "http server torus tree gi"),
        ("L3 cache E404", "l 3 cache e 4 0 4"),
        ("-enableflush _private snake_case kebab-case", "enableflush private snake case kebab case"),
        ("took <*> ms, * retries", "took ms retries"),
        ("磁盘 故障 on диск", "磁盘 故障 on диск"),
        ("<*> ... == <*>", ""),
        ("", ""),
    ],
)
def test_splits_identifiers_and_drops_wildcards(text: str, expected: str) -> None:
    """Identifiers split at case and digits, mask names and foreign letters stay, wildcards and punctuation go."""
    assert " ".join(words(text)) == expected
