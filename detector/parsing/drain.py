"""Incremental Drain: learns templates from masked lines (He et al. 2017, as drain3 implements it).

drain3's `Drain` is the engine, with two changes. Its own snapshots are never used: they run code on load (jsonpickle)
and, taken on every change, make warm-up quadratic; state is the list of template texts. Its cluster numbers are never
used outside, since they depend on the order of arrival; a template's id is the hash of its text. And verbs and status
words never become wildcards: Drain merges "VM Started" with "VM Paused" at every threshold, though they mean opposites.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from drain3.drain import Drain, LogCluster

from detector.parsing.templates import WILDCARD, Template

_VERB = re.compile(r"[a-z]{2,}(?:ed|ing)")
_STATUS_WORDS = """
abort aborts accept accepts active alive allow allows anomaly attach bad begin begun block blocks bound broken busy
cancel cancels clean clear clears close closes commit commits complete completes connect connects corrupt crash
crashes critical dead debug degraded delete deletes denied deny denies destroy detach dirty disable disables
disconnect disconnects done down drop drops empty enable enables end ends enter enters err error errors exception
exceptions exit exits expire expires fail fails failure failures false fatal fault faults free full get good halt
halts healthy high hung idle ignore ignores inactive info insert invalid join joins kill kills leave leaves left
lock locks login logout lost low made missing new no none normal not ok okay off offline on online open opens panic
pass passes patch pause pauses post primary put read reads ready reboot reject rejects release releases remove
removes reset resets restart restarts restore restores resume resumes retries retry rollback run runs safe secondary
send sends sent shutdown sleep slow standby start starts stop stops success successes suspend suspends terminate
terminates timeout timeouts true try trying unavailable unable unhealthy unknown unlock unlocks unsafe up update
updates valid wake warn warning warnings write writes written wrong yes
"""
_STATUS = frozenset(_STATUS_WORDS.split())
_ASSIGNS = re.compile(r"[=:]")
_EDGES = ".,:;!?()[]{}'\"<>=*"


@dataclass(frozen=True, slots=True)
class LearnedTemplate:
    """Result of learning a line: its template, whether it is new, and the id of the template that it replaces or ""."""

    template: Template
    created: bool
    replaces: str


class IncrementalDrain:
    """Learns templates line by line; beyond `max_clusters` the least recently used is dropped."""

    def __init__(self, sim_th: float = 0.5, depth: int = 4, max_clusters: int = 4096) -> None:
        self._settings = {"sim_th": sim_th, "depth": depth, "max_clusters": max_clusters}
        self._drain = _CarefulDrain(**self._settings)
        self._templates: dict[int, Template] = {}
        self._room = 2 * max_clusters

    def learn(self, masked: str) -> LearnedTemplate:
        """Learn from one masked line."""
        cluster, change = self._drain.add_log_message(masked)
        number: int = cluster.cluster_id
        old = self._templates.get(number)
        if old is not None and change == "none":
            return LearnedTemplate(old, created=False, replaces="")
        template = Template.of(cluster.get_template())
        self._templates[number] = template
        if len(self._templates) > self._room:
            self._forget_evicted()
        created = change == "cluster_created"
        return LearnedTemplate(template, created, "" if created or old is None else old.id)

    def templates(self) -> tuple[Template, ...]:
        """Every template known now, each once, in order of its text."""
        return tuple(Template.of(text) for text in self.dump())

    def dump(self) -> list[str]:
        """The state: template texts, sorted."""
        return sorted({cluster.get_template() for cluster in self._drain.clusters})

    def load(self, texts: Iterable[str]) -> None:
        """Start over from the texts of a `dump`."""
        self._drain = _CarefulDrain(**self._settings)
        self._templates = {}
        for text in texts:
            number = self._drain.adopt(text)
            self._templates[number] = Template.of(text)

    def _forget_evicted(self) -> None:
        alive = self._drain.id_to_cluster
        self._templates = {number: kept for number, kept in self._templates.items() if number in alive}


class _CarefulDrain(Drain):  # type: ignore[misc]  # drain3 has no types
    """Drain that never makes a wildcard of a verb or a status word."""

    clusters_counter: int

    def get_seq_distance(self, seq1: Sequence[str], seq2: Sequence[str], include_params: bool) -> tuple[float, int]:
        """(share of equal tokens, wildcards) of a template (`seq1`) and a line; 0.0 where a protected word differs."""
        if not seq1:
            return 1.0, 0
        equal = wildcards = 0
        for left, right in zip(seq1, seq2, strict=True):
            if left == right != WILDCARD:
                equal += 1
            elif left != right and (is_verb_or_status(left) or is_verb_or_status(right)):
                return 0.0, 0
            elif left == WILDCARD:
                wildcards += 1
        return (equal + wildcards if include_params else equal) / len(seq1), wildcards

    def adopt(self, text: str) -> int:
        """Add a template without learning; the number of its cluster."""
        number: int = self.clusters_counter + 1
        self.clusters_counter = number
        cluster = LogCluster(text.split(), number)
        self.id_to_cluster[number] = cluster
        self.add_seq_to_prefix_tree(self.root_node, cluster)
        return number


@lru_cache(maxsize=65_536)
def is_verb_or_status(token: str) -> bool:
    """Whether a token is, or assigns (`state=FAILED`), a verb or a status word; punctuation around it aside."""
    words = (part.strip(_EDGES) for part in _ASSIGNS.split(token.lower()))
    return any(word in _STATUS or _VERB.fullmatch(word) for word in words)
