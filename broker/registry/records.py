"""The registry of models: immutable version pointers and movable aliases on the models topic; highest epoch wins."""

from dataclasses import dataclass, field

import structlog

from broker.producer import write_all
from broker.settings import KafkaSettings
from broker.topic_reader import read_topic
from schemas.codec import decode, encode
from schemas.errors import RecordError
from schemas.model_record import ModelAlias, ModelPointer
from schemas.topics import Topics

CHAMPION = "champion"


@dataclass
class Registry:
    """The state that the records of the models topic describe; `add` takes one more, in any order and repeatedly."""

    pointers: dict[tuple[str, int], ModelPointer] = field(default_factory=dict)
    aliases: dict[tuple[str, str], ModelAlias] = field(default_factory=dict)

    def add(self, key: bytes | None, value: bytes | None) -> str | None:
        """Take a record; the name of the system that it changed, or None when it changed nothing.

        Raises:
            RecordError: the record is not what its key says, or rewrites a published version.
        """
        name = (key or b"").decode("utf-8", "replace")
        if value is None:
            return self._remove(name)
        if name.startswith("version/"):
            return self._add_pointer(name, decode(value, ModelPointer))
        if name.startswith("alias/"):
            return self._add_alias(name, decode(value, ModelAlias))
        if name.startswith("lease/"):
            return None  # leases are read by `lease` alone
        raise RecordError(
            f"key on the models topic must start with 'version/', 'alias/' or 'lease/', got {name[:100]!r}"
        )

    def champion(self, system: str, alias: str = CHAMPION) -> ModelPointer | None:
        """The version that an alias of a system names; None when nothing is published or their hashes differ."""
        moved = self.aliases.get((system, alias))
        pointer = None if moved is None else self.pointers.get((system, moved.version))
        if moved is None or pointer is None or pointer.sha256 != moved.sha256:
            return None
        return pointer

    def version(self, system: str, version: int) -> ModelPointer | None:
        """A published version."""
        return self.pointers.get((system, version))

    def versions(self, system: str) -> list[ModelPointer]:
        """Published versions of a system, oldest first."""
        return sorted((p for (name, _), p in self.pointers.items() if name == system), key=lambda p: p.version)

    def next_version(self, system: str) -> int:
        """The version after the newest."""
        return max((version for name, version in self.pointers if name == system), default=0) + 1

    def next_epoch(self, system: str) -> int:
        """One more than the highest epoch of the system's pointers and aliases."""
        records: list[ModelPointer | ModelAlias] = [*self.pointers.values(), *self.aliases.values()]
        return max((record.epoch for record in records if record.system == system), default=0) + 1

    def _add_pointer(self, name: str, pointer: ModelPointer) -> str | None:
        if name != pointer.key:
            raise RecordError(f"version record must have the key {pointer.key!r}, got {name[:100]!r}")
        held = self.pointers.get((pointer.system, pointer.version))
        if held is not None and held.sha256 != pointer.sha256:
            raise RecordError(
                f"{pointer.key} must never change, got sha256 {pointer.sha256[:12]} after {held.sha256[:12]}"
            )
        self.pointers[pointer.system, pointer.version] = pointer
        return None if held == pointer else pointer.system

    def _add_alias(self, name: str, alias: ModelAlias) -> str | None:
        if name != alias.key:
            raise RecordError(f"alias record must have the key {alias.key!r}, got {name[:100]!r}")
        held = self.aliases.get((alias.system, alias.alias))
        if held is not None and held.epoch >= alias.epoch:
            return None  # an old record that was replayed
        self.aliases[alias.system, alias.alias] = alias
        return alias.system

    def _remove(self, name: str) -> str | None:
        match name.split("/"):
            case ["version", system, version] if version.isdigit():
                return None if self.pointers.pop((system, int(version)), None) is None else system
            case ["alias", system, alias]:
                return None if self.aliases.pop((system, alias), None) is None else system
        return None


def read_models(kafka: KafkaSettings, topics: Topics) -> Registry:
    """Read the models topic to its end; unreadable records are logged and skipped.

    Raises:
        BrokerError: the broker does not answer or has no models topic.
    """
    registry = Registry()
    for message in read_topic(kafka, topics.models):
        try:
            registry.add(message.key(), message.value())
        except RecordError as error:
            structlog.get_logger(__name__).warning("model record ignored", offset=message.offset(), error=str(error))
    return registry


def write_record(kafka: KafkaSettings, topics: Topics, record: ModelPointer | ModelAlias) -> None:
    """Write a version or an alias to the models topic; returns once it is acknowledged.

    Raises:
        BrokerError: the record was not acknowledged; writing it again is safe.
    """
    write_all(kafka, [(topics.models, record.key.encode(), encode(record))])
