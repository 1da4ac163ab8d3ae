"""Services that speak the Tinker protocol: the hosted one, a URL, or the embedded engine."""

from geospot.services.connection import Service, open_service
from geospot.services.endpoint import (
    DescribedService,
    Endpoint,
    Facts,
    ServiceFactory,
    ServiceOptions,
)
from geospot.services.models import ServedModel, choose_model, is_vision_model

__all__ = [
    "DescribedService",
    "Endpoint",
    "Facts",
    "ServedModel",
    "Service",
    "ServiceFactory",
    "ServiceOptions",
    "choose_model",
    "is_vision_model",
    "open_service",
]
