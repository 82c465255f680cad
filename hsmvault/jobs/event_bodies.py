"""What an event looks like on the wire: Azure Event Grid's schema, or CloudEvents 1.0 in structured JSON.

Both carry the same data; see "Azure Key Vault as Event Grid source" of the Azure documentation.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec

from hsmvault.audit.record import timestamp
from hsmvault.model.containers import Container
from hsmvault.store.outbox import Event

TYPE_PREFIX: Final = "Microsoft.KeyVault."
_COLLECTIONS: Final = {"Key": "keys", "Secret": "secrets", "Certificate": "certificates"}
_encoder = msgspec.json.Encoder()


class Schema(Enum):
    EVENT_GRID = "eventgrid"
    CLOUD_EVENTS = "cloudevents"


class _Data(msgspec.Struct, frozen=True, rename="pascal"):
    id: str
    vault_name: str
    object_type: str
    object_name: str
    version: str
    nbf: int | None = msgspec.field(name="NBF")
    exp: int | None = msgspec.field(name="EXP")


class _EventGridEvent(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    topic: str
    subject: str
    event_type: str
    event_time: str
    data: _Data
    data_version: str
    metadata_version: str


class _CloudEvent(msgspec.Struct, frozen=True):
    """CloudEvents 1.0.2, JSON event format."""

    specversion: str
    id: str
    source: str
    subject: str
    type: str
    time: str
    datacontenttype: str
    data: _Data


def content(
    schema: Schema, event: Event, container: Container, origin: str, subscription: str, attempts: int
) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers of a request that delivers one event. origin: `https://host:port` of the container. attempts:
    how often it was tried before.
    """
    collection = _COLLECTIONS.get(event.object_type)
    data = _Data(
        # An event about the vault itself has the vault's own address.
        id=f"{origin}/" if collection is None else f"{origin}/{collection}/{event.name}/{event.version}",
        vault_name=container.name,
        object_type=event.object_type,
        object_name=event.name,
        version=event.version,
        nbf=event.not_before,
        exp=event.expires,
    )
    time = timestamp(event.time)
    if schema is Schema.CLOUD_EVENTS:
        cloud_event = _CloudEvent(
            specversion="1.0",
            id=event.event_id,
            source=container.resource_id,
            subject=event.name,
            type=TYPE_PREFIX + event.type,
            time=time,
            datacontenttype="application/json",
            data=data,
        )
        return _encoder.encode(cloud_event), {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    grid_event = _EventGridEvent(
        id=event.event_id,
        topic=container.resource_id,
        subject=event.name,
        event_type=TYPE_PREFIX + event.type,
        event_time=time,
        data=data,
        data_version="1",
        metadata_version="1",
    )
    return _encoder.encode([grid_event]), {
        "Content-Type": "application/json; charset=utf-8",
        "aeg-event-type": "Notification",
        "aeg-subscription-name": subscription.upper(),
        "aeg-delivery-count": str(attempts),
        "aeg-data-version": "1",
        "aeg-metadata-version": "1",
    }
