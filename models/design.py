"""What the templates set and the models count with; `tests/infra` holds both to each other.

Not imported from `infra`: its library takes seconds to load.
"""

SQS_BATCH = 10
"""Of the projector's mapping and of the Pipe."""
STREAM_BATCH = 100
PARALLELIZATION = 10
"""Concurrent batches a shard; AWS spreads them by item, so a building's doors are spread too."""
MEMORY_MB = 512
HISTORY_DAYS = 90
LOG_DAYS = 30
ALARMS = 23
"""On one metric each; one composite alarm and one dashboard of CloudWatch come on top."""

# What AWS does, whatever the templates say.
POLLERS = 5
"""AWS: a standard queue's mapping, and a Pipe, start with five pollers and keep them when idle."""
LONG_POLL_S = 20.0
STREAM_POLL_S = 0.25
"""AWS: Lambda asks each shard four times a second."""
SHARDS = 4
"""AWS: a new on-demand table takes 4,000 writes a second, four partitions with a shard each."""
DELIVERY_UNIT_BYTES = 5 * 1024
"""AWS: AppSync meters real-time updates by 5 KB."""
WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096

# What a viewer does (dashboard/, simulators/viewer.py).
SNAPSHOT_EVERY_S = 300.0
SNAPSHOTS_A_VISIT = 3
"""After subscribing, again a few seconds later, and once on coming back to the window."""
