"""Names of the metrics, here and nowhere else: the functions emit them, alarms watch them."""

from enum import StrEnum

NAMESPACE = "Latchline"


class Metric(StrEnum):
    """Each has the dimension `service`: the function that emits it, `latchline-dev-projector`."""

    # The projector, by outcome.
    APPLIED = "Applied"
    DUPLICATE = "Duplicate"
    STALE = "Stale"
    BOOT_REGRESSED = "BootRegressed"
    QUARANTINED = "Quarantined"
    RETRIED = "Retried"
    QUARANTINED_BY_REASON = "QuarantinedByReason"
    """With the dimension `reason` besides."""
    DOOR_TO_TABLE = "DoorToTable"
    """Rule's clock to table, ms, of each event that became a tile."""

    # The fan-out.
    PUBLISHED = "Published"
    PUBLICATIONS = "Publications"
    APPSYNC_REQUESTS = "AppSyncRequests"
    FAILED_ALIASES = "FailedAliases"
    DOOR_TO_PUBLISHED = "DoorToPublished"
    """Rule's clock to AppSync's answer, ms, of each tile published."""
