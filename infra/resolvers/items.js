// The table's items (pipeline/items.py) as GraphQL types. DynamoDB holds no attribute for a null.

export function tile(item) {
  return {
    buildingId: item.building,
    lockerId: item.locker,
    doorId: item.door,
    version: item.version,
    kind: item.kind,
    status: item.status,
    open: item.open,
    occupied: item.occupied,
    fault: item.fault ?? null,
    at: item.at,
    receivedAt: item.received_at,
    queuedAt: item.queued_at ?? null,
    projectedAt: item.projected_at,
    trace: item.trace ?? null,
  };
}

export function locker(item) {
  return {
    buildingId: item.building,
    lockerId: item.locker,
    connected: item.connected,
    since: item.since,
    reason: item.reason ?? null,
    revision: item.revision,
    receivedAt: item.received_at,
    projectedAt: item.projected_at,
  };
}

export function doorEvent(item) {
  return {
    buildingId: item.building,
    lockerId: item.locker,
    doorId: item.door,
    version: item.version,
    eventId: `${item.building}:${item.locker}/${item.door}@${item.boot}.${item.seq}`,
    kind: item.kind,
    status: item.status,
    open: item.open,
    occupied: item.occupied,
    fault: item.fault ?? null,
    at: item.at,
    receivedAt: item.received_at,
    trace: item.trace ?? null,
  };
}
