"""What the cache did lately in this process: requests and their operations, and hit ratios.

A follower (:mod:`..relay`) that runs only while debug pages are mounted. All that it keeps is
bounded.
"""

from __future__ import annotations

from .follower import DEBUG, Timeline, start_timeline, stop_timeline, timeline_of
from .history import STEP, Counted, History
from .memory import KeyMemory, Seen, stored_as
from .records import Operation, Record

__all__ = [
    "DEBUG",
    "STEP",
    "Counted",
    "History",
    "KeyMemory",
    "Operation",
    "Record",
    "Seen",
    "Timeline",
    "start_timeline",
    "stop_timeline",
    "stored_as",
    "timeline_of",
]
