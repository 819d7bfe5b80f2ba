-- AWS IoT's own lifecycle events. Clients that are no lockers (a person with the MQTT test client)
-- and failed attempts to connect are nobody's presence.
SELECT encode(*, 'base64') AS payload,
       topic(5) AS client,
       topic(4) AS event,
       timestamp() AS received_at,
       traceid() AS trace,
       'presence' AS type
FROM '$aws/events/presence/+/+'
WHERE (topic(4) = 'connected' OR topic(4) = 'disconnected')
  AND regexp_matches(topic(5), '^[a-z0-9][a-z0-9-]{0,31}:[a-z0-9][a-z0-9-]{0,31}$')
