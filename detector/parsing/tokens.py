"""Splitting a template into words (docs/method.md#event-vectors).

`addStoredBlock: blockMap updated: <IP> is added to <ID>` becomes add, stored, block, block, map, updated, ip, is,
added, to, id: identifiers are split where their case changes, mask names are kept (they name the kind of
value), wildcards and punctuation are dropped.
"""

import re

_WILDCARD = re.compile(r"<\*>|\*+")
_PIECE = re.compile(
    r"[A-Z]+(?=[A-Z][a-z])"  # the HTTP of HTTPServer
    r"|[A-Z]?[a-z]+"
    r"|[A-Z]+"
    r"|\d"  # digits stand alone: L3 and L4 share a word
    r"|[^\W\d_A-Za-z]+"  # letters of other alphabets
)


def words(template_text: str) -> list[str]:
    """Lower-case words of a template or masked line, in order, repeats kept; empty when it holds only wildcards."""
    return [piece.lower() for piece in _PIECE.findall(_WILDCARD.sub(" ", template_text))]
