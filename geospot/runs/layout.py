"""What files and folders of a run directory are called that more than one module speaks of."""

from typing import Final

METRICS: Final = "metrics.jsonl"
PHOTOS: Final = "photos.jsonl"
LOGS: Final = "logs.log"
EVALS: Final = "evals"
"""A result directory for each evaluation on the way, `step-NNNNNN`."""
