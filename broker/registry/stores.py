"""From the URL of an artifact store to the store."""

from broker.registry.blob_stores import BlobStore, FolderStore
from broker.registry.kafka_store import KafkaStore
from broker.settings import KafkaSettings
from schemas.topics import Topics

_KAFKA = "kafka://"


def open_store(url: str, kafka: KafkaSettings, topics: Topics) -> BlobStore:
    """The store behind a URL: `kafka://` (our chunk topic), `kafka://<topic>`, or whatever fsspec opens.

    Raises:
        StoreError: the URL is not one of these.
    """
    if url.startswith(_KAFKA):
        return KafkaStore(kafka, url.removeprefix(_KAFKA) or topics.model_chunks)
    return FolderStore(url)
