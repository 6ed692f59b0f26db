-- What is done to VMs once: written before it begins, and with its outcome before anybody is told.
CREATE TABLE operations (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    pool TEXT NOT NULL DEFAULT '',
    epoch INTEGER NOT NULL DEFAULT 0,
    vm TEXT NOT NULL DEFAULT '',
    operation TEXT NOT NULL DEFAULT 'none'
        CHECK (operation = 'none' OR operation = 'reset' OR operation = 'pause' OR
            operation = 'resume' OR operation = 'snapshot-create' OR
            operation = 'snapshot-rollback' OR operation = 'snapshot-delete' OR
            operation = 'snapshot-list'),
    item TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'begun'
        CHECK (state = 'begun' OR state = 'succeeded' OR state = 'failed'),
    reason TEXT NOT NULL DEFAULT '',
    result TEXT
) STRICT;

-- An outcome is for ever.
CREATE TRIGGER operations_outcome_stays AFTER UPDATE ON operations
    WHEN OLD.state <> 'begun' AND NEW.state = 'begun'
BEGIN
    SELECT RAISE(ABORT, 'operations.state never goes back to begun');
END;
