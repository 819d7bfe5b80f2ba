-- The device's bytes stay untouched: a failing expression over a payload that is not JSON would
-- lose the message. Who and which door comes from the topic, which the broker has checked.
SELECT encode(*, 'base64') AS payload,
       topic(3) AS thing,
       topic(5) AS door,
       topic(6) AS kind,
       clientid() AS client,
       timestamp() AS received_at,
       traceid() AS trace,
       'door' AS type
FROM 'lockers/v1/+/doors/+/+'
