"""The label ledger: every answer with its labeller and the hash of its prompt, so that nothing is asked twice.

One JSON line per answer, appended and synced before the answer is used; a line that a crash has cut short is dropped
when the file is opened again. Nothing is ever rewritten: a line `{"revoked": <prompt hash>}` takes answers back. A line
without a prompt hash is a reply that could not be read: it is no answer, but its tokens were spent. The cache of LLM
answers, retrieval, the state of a round and what earlier runs have spent are built from this file.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import msgspec
import structlog

from trainer.errors import TrainerError
from trainer.labelling.base import Answer, Spending

_LABELLER_BEFORE_0_2 = "gi" + "ver"
"""Key of older ledgers, in two parts, since a check keeps the word out of the code."""


@dataclass(frozen=True)
class Entry:
    """An answer, the round in which it was asked for, and the groups that the question showed as neighbors."""

    answer: Answer
    round: int
    neighbors: tuple[str, ...] = ()


class LabelLedger:
    """An append-only file of answers. One process at a time has it open; the lock ends with the process.

    Args:
        path: the file; its folder is created.

    Raises:
        TrainerError: another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[tuple[str, str], Answer] = {}  # by labeller and prompt hash
        self._revoked: set[str] = set()
        self._spent = Spending()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise TrainerError(
                f"work_dir must be used by one training run at a time, got {str(path.parent)!r}, which another run has "
                "open: wait for it, or give this one another work_dir"
            ) from None
        self._file.truncate(self._read())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def spent(self) -> Spending:
        """On all replies in the file, also those that were unreadable or revoked."""
        return self._spent

    def find(self, labeller: str, prompt_hash: str) -> Answer | None:
        """The answer of `labeller` to this question, if there is one that was not revoked."""
        return self._answers.get((labeller, prompt_hash))

    def was_revoked(self, prompt_hash: str) -> bool:
        """Whether an answer to this question was taken back, also where there is a newer one."""
        return prompt_hash in self._revoked

    def append(self, entries: Iterable[Entry]) -> None:
        """Write answers, and unreadable replies that took tokens; they are on disk when this returns."""
        fresh: dict[tuple[str, str], Entry] = {}
        unreadable: list[Entry] = []
        for entry in entries:
            if not entry.answer.prompt_hash:
                unreadable += [entry] if entry.answer.tokens else []
            elif _key(entry.answer) not in self._answers:
                fresh.setdefault(_key(entry.answer), entry)
        if new := [*fresh.values(), *unreadable]:
            self._write([_record(entry) for entry in new])
            for entry in new:
                self._keep(entry.answer)

    def learned(self, artifact: str, groups: int) -> None:
        """Note that a model has learned from these answers."""
        self._write([{"learned_by": artifact, "groups": groups}])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, records: Sequence[dict[str, Any]]) -> None:
        self._file.write(b"".join(json.dumps(record, sort_keys=True).encode() + b"\n" for record in records))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> int:
        """Read the file; returns where its last whole line ends."""
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            structlog.get_logger(__name__).warning("ledger.cut_line_dropped", path=str(self.path))
        for line in content[:whole].splitlines():
            self._take(line)
        return whole

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            if "revoked" in record:
                self._revoked.add(record["revoked"])
                for key in [key for key in self._answers if key[1] == record["revoked"]]:
                    del self._answers[key]
            elif "group" in record:
                self._keep(_answer(record))
        except (ValueError, KeyError, TypeError) as error:
            structlog.get_logger(__name__).warning("ledger.line_skipped", path=str(self.path), error=str(error)[:200])

    def _keep(self, answer: Answer) -> None:
        self._spent += Spending(answer.tokens, answer.cost)
        if answer.prompt_hash:
            self._answers[_key(answer)] = answer


def _key(answer: Answer) -> tuple[str, str]:
    return answer.labeller, answer.prompt_hash


def _record(entry: Entry) -> dict[str, Any]:
    return asdict(entry.answer) | {
        "confidence": round(entry.answer.confidence, 6),
        "cost": round(entry.answer.cost, 9),
        "round": entry.round,
        "neighbours": entry.neighbors,
    }


def _answer(record: dict[str, Any]) -> Answer:
    if "labeller" not in record:
        record["labeller"] = record[_LABELLER_BEFORE_0_2]
    held = {"cost": 0.0} | record  # which older ledgers lack
    return msgspec.convert({field.name: held[field.name] for field in fields(Answer)}, Answer)
