-- Who may extend a node's lease while the manager is silent (docs/failure-model.md, "Witnesses").
CREATE TABLE voter_sets (
    node TEXT NOT NULL CHECK (node <> ''),
    version INTEGER NOT NULL DEFAULT 0,
    witnesses TEXT NOT NULL DEFAULT '[]',
    before TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (node)
) STRICT, WITHOUT ROWID;

-- Promises are about versions, so these only ever grow.
CREATE TRIGGER voter_sets_version_grows AFTER UPDATE ON voter_sets WHEN NEW.version < OLD.version
BEGIN
    SELECT RAISE(ABORT, 'voter_sets.version never goes back');
END;
