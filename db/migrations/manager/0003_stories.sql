-- What a take-over's story tells beside its events.
ALTER TABLE jobs ADD COLUMN silent_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN copy_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN copy_sequence INTEGER NOT NULL DEFAULT 0;
