"""Metered billing: who is metered, what is collected, told, taken back, and summed up."""

from app.metered.service.batches import BatchService
from app.metered.service.collection import UsageCollector
from app.metered.service.corrections import MeteredCorrections
from app.metered.service.enrolments import Enrolments
from app.metered.service.meter_errors import MeterErrors
from app.metered.service.reporting import UsageReporter
from app.metered.service.summary import MeteredSummaries

__all__ = [
    "BatchService",
    "Enrolments",
    "MeterErrors",
    "MeteredCorrections",
    "MeteredSummaries",
    "UsageCollector",
    "UsageReporter",
]
