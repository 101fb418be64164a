-- Orders expire by timers now. Those that wait since before get theirs: 900 s after they were placed, as they would have
-- expired unless told otherwise. The last event of such an order is its OrderCreated, which stands for the setting too.
INSERT INTO timers (kind, key, setting_id, due_us, next_try_us, causationid, correlationid)
SELECT 'order-expiry', id, last_event_id, created_us + 900000000, created_us + 900000000, last_event_id,
       lower(substr(hex(last_event_id), 1, 8) || '-' || substr(hex(last_event_id), 9, 4) || '-' ||
             substr(hex(last_event_id), 13, 4) || '-' || substr(hex(last_event_id), 17, 4) || '-' ||
             substr(hex(last_event_id), 21, 12))
FROM orders WHERE status = 'UPDATE';

-- Nobody looks for orders that have waited too long any more.
DROP INDEX orders_waiting;
