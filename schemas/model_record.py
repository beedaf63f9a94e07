"""Records of the models topic: immutable version pointers, movable aliases, and what agents did with them."""

from schemas.codec import Record


class ModelPointer(Record, frozen=True, kw_only=True):
    """A published version. Key `version/<system>/<version>`; never changed once written.

    Attributes:
        sha256: hash of the manifest bytes, which name the hash of every other file.
        store: URL of the artifact store that holds the content.
        epoch: rises by one with every publication or alias move of the system; the highest wins.
    """

    system: str
    version: int
    epoch: int
    sha256: str
    store: str
    created_ms: int
    labeller: str
    size_bytes: int
    metrics: dict[str, float] = {}

    @property
    def key(self) -> str:
        """Record key on the models topic."""
        return f"version/{self.system}/{self.version}"


class ModelAlias(Record, frozen=True, kw_only=True):
    """Which version serves. Key `alias/<system>/<alias>`; the record of the highest epoch wins."""

    system: str
    alias: str
    version: int
    epoch: int
    sha256: str
    moved_ms: int
    reason: str = ""

    @property
    def key(self) -> str:
        """Record key on the models topic."""
        return f"alias/{self.system}/{self.alias}"


class ModelStatus(Record, frozen=True, kw_only=True):
    """What an agent did with a version: `result` is `loaded`, `refused` or `unavailable`."""

    system: str
    version: int
    epoch: int
    sha256: str
    worker: str
    result: str
    message: str
    time_ms: int


class PublishLease(Record, frozen=True, kw_only=True):
    """A trainer's claim to publish a system's next version. Key `lease/<system>/<owner>`, tombstoned when done.

    Of the claims that have not expired, the one with the lowest offset in partition 0 holds the lease.
    """

    system: str
    owner: str
    expires_ms: int

    @property
    def key(self) -> str:
        """Record key on the models topic."""
        return f"lease/{self.system}/{self.owner}"
