"""Which models are refused for good, which are tried again, and when."""

from typing import Any

import pytest

import agent.models.watcher
from agent.metrics import Metrics
from agent.models.serving import ModelServing
from agent.models.watcher import ModelWatcher
from agent.settings import AgentSettings
from agent.testing import model_messages
from agent.timeouts import Timeouts
from broker.registry.artifacts import save_artifact
from broker.testing import InMemoryBlobStore
from detector.errors import ArtifactError, StoreError
from detector.testing import SYSTEM, tiny_files


class _Watched:
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
        self.statuses = []
        self.watcher._fold(model_messages(self.sha256, alias_epoch=epoch))
        await self.watcher._load_wanted()
        return self.statuses


async def test_a_refused_model_is_tried_again_when_its_alias_is_moved_there_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal holds while the same records are read again; a later move of the alias is another try."""
    bed = _Watched()

    def refuse(*_: Any, **__: Any) -> None:
        raise ArtifactError("too large for this agent")

    with monkeypatch.context() as patch:
        patch.setattr(agent.models.watcher, "load_artifact", refuse)
        assert await bed.move(2) == ["refused"]
    assert await bed.move(2) == []
    assert await bed.move(3) == ["loaded"]
    assert len(bed.swapped) == 1


@pytest.mark.parametrize("error", [StoreError("away"), RuntimeError("out of memory"), OSError("no route")])
async def test_what_says_nothing_of_the_model_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """An unreachable store or a full device may pass; the model is not refused for it."""
    bed = _Watched()

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(agent.models.watcher, "ModelServing", fail)
        assert await bed.move(2) == ["unavailable"]
    await bed.watcher._load_wanted()
    assert bed.statuses == ["unavailable", "loaded"]


async def test_content_that_breaks_its_reader_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The content matches its hash, so an unforeseen error would come again: the model is tried once."""
    bed = _Watched()

    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("tensor")

    monkeypatch.setattr(agent.models.watcher, "unpack", fail)
    assert await bed.move(2) == ["refused"]
    await bed.watcher._load_wanted()
    assert bed.statuses == ["refused"]
