-- The last event that changed what a customer or a geo is: who writes waits by it for the read models of others. Where
-- one was there before, that is the last one that stated it.
ALTER TABLE customers ADD COLUMN last_event_id BLOB CHECK (length(last_event_id) = 16);
ALTER TABLE geos ADD COLUMN last_event_id BLOB CHECK (length(last_event_id) = 16);

UPDATE customers SET last_event_id =
    (SELECT id FROM outbox WHERE subject = 'customer-' || customer_id ORDER BY version DESC LIMIT 1);
UPDATE geos SET last_event_id =
    (SELECT id FROM outbox WHERE subject = 'geo-' || geo ORDER BY version DESC LIMIT 1);
