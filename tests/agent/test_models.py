"""Which models are refused for good, which are tried again, and what asks for another try."""

from typing import Any

import pytest

import agent.models.watcher
from agent.metrics import Metrics
from agent.models.serving import ModelServing
from agent.models.watcher import ModelWatcher
from agent.settings import AgentSettings
from agent.timeouts import Timeouts
from broker.registry.artifacts import save_artifact
from broker.testing import InMemoryBlobStore
from detector.errors import ArtifactError, StoreError
from detector.testing import SYSTEM, tiny_files
from schemas.codec import encode
from schemas.model_record import ModelAlias, ModelPointer


class _Record:
    """A record of the models topic."""

    offset = 0

    def __init__(self, record: ModelPointer | ModelAlias) -> None:
        self.key, self.value = record.key.encode, lambda: encode(record)


class _Rig:
    """A watcher that is fed by hand, over a store in memory."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.swapped: list[ModelServing] = []
        self.store = InMemoryBlobStore()
        self.sha256 = save_artifact(self.store, tiny_files())

        async def swap(_system: str, serving: ModelServing) -> None:
            self.swapped.append(serving)

        settings = AgentSettings.model_validate(
            {"systems": [{"topics": ["raw"], "spec": SYSTEM.model_dump()}], "device": "cpu"}
        )
        self.watcher = ModelWatcher(
            settings,
            lambda status: self.statuses.append(status.result),
            Metrics(),
            swap,
            open_artifacts=lambda _url: self.store,
            timeouts=Timeouts(model_retry_seconds=0),
        )

    async def move(self, epoch: int) -> list[str]:
        """Move the alias to the version, at an epoch; the statuses that came of it."""
        common = {"system": SYSTEM.name, "version": 1, "sha256": self.sha256}
        pointer = ModelPointer(**common, epoch=1, store="memory://", created_ms=1, labeller="heuristic", size_bytes=1)
        alias = ModelAlias(**common, alias="champion", epoch=epoch, moved_ms=1)
        self.statuses = []
        self.watcher._fold([_Record(pointer), _Record(alias)])
        await self.watcher._load_wanted()
        return self.statuses


async def test_a_refused_model_is_tried_again_when_its_alias_is_moved_there_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal holds while the same records are read again; a later move of the alias is another try."""
    rig = _Rig()

    def refuse(*_: Any, **__: Any) -> None:
        raise ArtifactError("too large for this agent")

    with monkeypatch.context() as patch:
        patch.setattr(agent.models.watcher, "load_artifact", refuse)
        assert await rig.move(2) == ["refused"]
    assert await rig.move(2) == []
    assert await rig.move(3) == ["loaded"]
    assert len(rig.swapped) == 1


@pytest.mark.parametrize("error", [StoreError("away"), RuntimeError("out of memory"), OSError("no route")])
async def test_what_says_nothing_of_the_model_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A store that is away and a device that is full may pass; the model is not refused for them."""
    rig = _Rig()

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(agent.models.watcher, "ModelServing", fail)
        assert await rig.move(2) == ["unavailable"]
    await rig.watcher._load_wanted()
    assert rig.statuses == ["unavailable", "loaded"]


async def test_content_that_breaks_its_reader_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is what its hash says, so an error that nobody foresaw would come again: it is tried once."""
    rig = _Rig()

    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("tensor")

    monkeypatch.setattr(agent.models.watcher, "unpack", fail)
    assert await rig.move(2) == ["refused"]
    await rig.watcher._load_wanted()
    assert rig.statuses == ["refused"]
