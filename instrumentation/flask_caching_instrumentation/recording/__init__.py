"""What views, and whatever else is cached, are seen to read of the request."""

from __future__ import annotations

from .execution import Executed, SentRequest, execute, plain_urls
from .recorder import (
    Reading,
    Readings,
    Recorder,
    merged,
    recorder_of,
    start_recording,
    stop_recording,
)

__all__ = [
    "Executed",
    "Reading",
    "Readings",
    "Recorder",
    "SentRequest",
    "execute",
    "merged",
    "plain_urls",
    "recorder_of",
    "start_recording",
    "stop_recording",
]
