-- Up to where the oldest pages of a feed were taken away; the check is needed to follow on from there.
ALTER TABLE feeds ADD COLUMN pruned_position INTEGER NOT NULL DEFAULT 0 CHECK (pruned_position >= 0);
ALTER TABLE feeds ADD COLUMN pruned_check BLOB NOT NULL DEFAULT x'000000000000' CHECK (length(pruned_check) = 6);
