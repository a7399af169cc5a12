"""The audit: which requests wrongly share a key, demonstrated by two of them each."""

from .auditor import audit
from .catalogue import RULES, Rule
from .formats import FORMATS
from .model import AuditReport, Demonstration, Finding, Shown

__all__ = [
    "FORMATS",
    "RULES",
    "AuditReport",
    "Demonstration",
    "Finding",
    "Rule",
    "Shown",
    "audit",
]
