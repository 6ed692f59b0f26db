-- Other nodes that are witnesses of this one, or whose witness this one is.
CREATE TABLE witnesses (
    node TEXT NOT NULL CHECK (node <> ''),
    endpoint TEXT NOT NULL DEFAULT '',
    public_key TEXT NOT NULL DEFAULT '',
    asked INTEGER NOT NULL DEFAULT 0 CHECK (asked BETWEEN 0 AND 1),
    served INTEGER NOT NULL DEFAULT 0 CHECK (served BETWEEN 0 AND 1),
    promised INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (node)
) STRICT, WITHOUT ROWID;

-- A promise is for ever.
CREATE TRIGGER witnesses_promise_stays AFTER UPDATE ON witnesses WHEN NEW.promised < OLD.promised
BEGIN
    SELECT RAISE(ABORT, 'witnesses.promised never goes back');
END;
