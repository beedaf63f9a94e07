"""Grouping of signatures for labelling: one answer for all windows that are equal under the finest view that fits.

Views, from the finest: the exact run-length sequence, event counts clipped at 8, counts clipped at 3, the event set.
The rule is the same for every system.
"""

import hashlib
from collections.abc import Callable, Hashable, Mapping

from trainer.data.signatures import Corpus, LabelGroup, Signature

View = Callable[[Signature], Hashable]


def _clipped(limit: int) -> View:
    def view(signature: Signature) -> Hashable:
        return tuple(sorted((event_id, min(count, limit)) for event_id, count in signature.counts().items()))

    return view


VIEWS: Mapping[str, View] = {
    "sequence": lambda signature: signature.runs,
    "counts8": _clipped(8),
    "counts3": _clipped(3),
    "set": lambda signature: tuple(sorted(signature.counts())),
}


def label_groups(corpus: Corpus, budget: int) -> list[LabelGroup]:
    """Signatures grouped by the finest view with at most `budget` distinct values; by the set where there is none.

    Returns:
        Groups, most windows first; ties by id, so that the order depends on the content of the corpus alone.

    Raises:
        ValueError: the budget is below 1.
    """
    if budget < 1:
        raise ValueError(f"budget must be at least 1, got {budget}")
    signatures = corpus.signatures
    for name, view in VIEWS.items():  # noqa: B007 (the name of the last view is used)
        members: dict[Hashable, list[int]] = {}
        for index, signature in enumerate(signatures):
            members.setdefault(view(signature), []).append(index)
        if len(members) <= budget:
            break
    groups = [
        LabelGroup(
            id=hashlib.sha256(f"{name}:{value!r}".encode()).hexdigest()[:16],
            view=name,
            members=tuple(sorted(indices, key=lambda index: (-signatures[index].windows, signatures[index].id))),
            windows=sum(signatures[index].windows for index in indices),
        )
        for value, indices in members.items()
    ]
    return sorted(groups, key=lambda group: (-group.windows, group.id))
