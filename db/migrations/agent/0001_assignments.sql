-- What an agent must remember: the highest (term, manager) it saw, and its newest order per pool.
-- Columns are the fields of the records in proto/catalogue/records.h; a unit test compares the two.
PRAGMA application_id = 1346912561; -- 'PHA1'

CREATE TABLE meta (
    key TEXT NOT NULL CHECK (key <> ''),
    value TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (key)
) STRICT, WITHOUT ROWID;

CREATE TABLE assignments (
    pool TEXT NOT NULL CHECK (pool <> ''),
    epoch INTEGER NOT NULL DEFAULT 0,
    term INTEGER NOT NULL DEFAULT 0,
    number INTEGER NOT NULL DEFAULT 0,
    local TEXT NOT NULL DEFAULT 'none'
        CHECK (local = 'none' OR local = 'copy' OR local = 'activating' OR local = 'active' OR
            local = 'deactivating' OR local = 'released' OR local = 'failed' OR local = 'stuck'),
    "order" TEXT,
    PRIMARY KEY (pool)
) STRICT, WITHOUT ROWID;

-- A fencing token only ever grows.
CREATE TRIGGER assignments_epoch_grows AFTER UPDATE ON assignments WHEN NEW.epoch < OLD.epoch
BEGIN
    SELECT RAISE(ABORT, 'assignments.epoch never goes back');
END;
