-- Fence devices: how a node is switched off, and what its device last said. Secrets are not here: a
-- device names the files that hold them.

CREATE TABLE fence_devices (
    node TEXT NOT NULL CHECK (node <> ''),
    name TEXT NOT NULL CHECK (name <> ''),
    position INTEGER NOT NULL DEFAULT 0,
    level INTEGER NOT NULL DEFAULT 1,
    agent TEXT NOT NULL DEFAULT '',
    options TEXT NOT NULL DEFAULT '[]',
    option_files TEXT NOT NULL DEFAULT '[]',
    run_from TEXT NOT NULL DEFAULT '[]',
    delay_ms INTEGER NOT NULL DEFAULT 0,
    timeout_ms INTEGER NOT NULL DEFAULT 20000,
    attempts INTEGER NOT NULL DEFAULT 2,
    power TEXT NOT NULL DEFAULT 'unknown'
        CHECK (power = 'unknown' OR power = 'on' OR power = 'off' OR power = 'failed'),
    checked_at INTEGER NOT NULL DEFAULT 0,
    checked_from TEXT NOT NULL DEFAULT '',
    failures INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (node, name)
) STRICT, WITHOUT ROWID;
