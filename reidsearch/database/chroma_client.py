"""Chroma's client and our collection in it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import chromadb
from chromadb.api.shared_system_client import SharedSystemClient as Systems
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

from reidsearch.core.errors import StoreError
from reidsearch.database.chroma_rows import collection_metadata
from reidsearch.database.layout import (
    COLLECTION,
    LEDGER_FILE,
    REPAIR_HINT,
    explain,
    not_ours,
    require_schema,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateCollectionConfiguration

    from reidsearch.core.provenance import Provenance

# Fixed at creation. The exact index answers, so building the graph need only be cheap: with twice
# the neighbours and efforts, 20,000 detections took 1.8 times as long, with half of them as long.
_INDEX: CreateCollectionConfiguration = {
    "hnsw": {"space": "l2", "ef_construction": 100, "max_neighbors": 16, "ef_search": 256}
}


@contextmanager
def open_client(folder: Path) -> Iterator[Client]:
    """Open Chroma's database in a folder; what Chroma has against it becomes a StoreError."""
    folder_id = str(folder.resolve())  # Chroma opens a folder once in a process, by its name
    kept, users = Systems._identifier_to_system, Systems._identifier_to_refcount  # noqa: SLF001
    is_open = folder_id in kept
    try:
        # Said here, or an environment variable or a .env file could send us to a server.
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings takes it
            chroma_api_impl="chromadb.api.rust.RustBindingsAPI",
            anonymized_telemetry=False,
        )
        opened = cast("Client", chromadb.PersistentClient(folder_id, settings))
    except BaseException as error:  # its panics are no Exception
        # Chroma keeps a system that did not start, and would hand it out at the next opening.
        if not is_open:
            kept.pop(folder_id, None)
            users.pop(folder_id, None)
        if isinstance(error, ChromaError | ValueError):
            raise explain(error, folder) from error
        raise
    with opened as client:
        try:
            yield client
        except ChromaError as error:
            raise explain(error, folder) from error


def open_collection(client: Client, folder: Path, create: Provenance | None) -> chromadb.Collection:
    """Open our collection, or make it with these models where there is none yet.

    Raises:
        StoreError: it is lost, or the database is another program's.
        SchemaError: another version of reidsearch made it.
    """
    try:
        collection = client.get_collection(COLLECTION, embedding_function=None)
    except NotFoundError:
        if (folder / LEDGER_FILE).is_file():
            raise StoreError(f"Chroma has lost the rows of {folder}", hint=REPAIR_HINT) from None
        if create is None or client.list_collections():
            raise not_ours(folder) from None
        return create_collection(client, create)
    schema = (collection.metadata or {}).get("schema")
    if not isinstance(schema, int):
        raise StoreError(
            f"the collection {COLLECTION} in {folder} was created by another program",
            hint="it records no schema",
        )
    require_schema(schema, folder)
    return collection


def create_collection(client: Client, provenance: Provenance) -> chromadb.Collection:
    """Make our collection."""
    return client.create_collection(
        COLLECTION,
        embedding_function=None,
        metadata=collection_metadata(provenance),
        configuration=_INDEX,
    )
