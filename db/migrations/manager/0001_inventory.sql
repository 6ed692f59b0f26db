-- The inventory of a manager. Columns are the fields of the records in proto/catalogue/records.h; a
-- unit test compares the two. Lists are JSON arrays, times are wall clock milliseconds.
--
-- Words are checked with chains of OR: SQLite builds a table for each IN list at each statement,
-- which made a save three times as slow.
PRAGMA application_id = 1346915633; -- 'PHM1'

-- The moment of the change under way, set by the writer before each batch, so that everything in
-- one batch changes at one moment. kept_since: history before it has been trimmed.
CREATE TABLE history_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL,
    kept_since INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO history_clock (id, at) VALUES (1, 0);

CREATE TABLE meta (
    key TEXT NOT NULL CHECK (key <> ''),
    value TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (key)
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
    name TEXT NOT NULL CHECK (name <> ''),
    state TEXT NOT NULL DEFAULT 'joining'
        CHECK (state = 'joining' OR state = 'online' OR state = 'suspect' OR state = 'lost' OR
            state = 'fenced'),
    admin TEXT NOT NULL DEFAULT 'active'
        CHECK (admin = 'active' OR admin = 'draining' OR admin = 'maintenance' OR
            admin = 'quarantined' OR admin = 'retired'),
    generation INTEGER NOT NULL DEFAULT 0,
    granting INTEGER NOT NULL DEFAULT 0 CHECK (granting BETWEEN 0 AND 1),
    endpoint TEXT NOT NULL DEFAULT '',
    public_key TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    boot_id TEXT NOT NULL DEFAULT '',
    labels TEXT NOT NULL DEFAULT '[]',
    drivers TEXT NOT NULL DEFAULT '[]',
    cpu INTEGER NOT NULL DEFAULT 0,
    memory_mib INTEGER NOT NULL DEFAULT 0,
    disk_mib INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    quarantined_until INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    valid_from INTEGER NOT NULL
        DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

CREATE TABLE pools (
    name TEXT NOT NULL CHECK (name <> ''),
    driver TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'unassigned'
        CHECK (state = 'unassigned' OR state = 'activating' OR state = 'active' OR
            state = 'deactivating' OR state = 'waiting' OR state = 'blocked' OR state = 'failed'),
    desired TEXT NOT NULL DEFAULT 'active'
        CHECK (desired = 'active' OR desired = 'inactive'),
    node TEXT NOT NULL DEFAULT '',
    epoch INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL DEFAULT 0 CHECK (created BETWEEN 0 AND 1),
    home TEXT NOT NULL DEFAULT '',
    priority INTEGER NOT NULL DEFAULT 0,
    copies INTEGER NOT NULL DEFAULT 0,
    cpu INTEGER NOT NULL DEFAULT 0,
    memory_mib INTEGER NOT NULL DEFAULT 0,
    disk_mib INTEGER NOT NULL DEFAULT 0,
    sync_interval_s INTEGER NOT NULL DEFAULT 0,
    max_data_loss_s INTEGER NOT NULL DEFAULT 0,
    failback TEXT NOT NULL DEFAULT 'no'
        CHECK (failback = 'no' OR failback = 'yes' OR failback = 'at'),
    failback_at TEXT NOT NULL DEFAULT '',
    allow TEXT NOT NULL DEFAULT '[]',
    prefer TEXT NOT NULL DEFAULT '[]',
    together TEXT NOT NULL DEFAULT '[]',
    apart TEXT NOT NULL DEFAULT '[]',
    revision INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    valid_from INTEGER NOT NULL
        DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

CREATE TABLE vms (
    pool TEXT NOT NULL CHECK (pool <> ''),
    name TEXT NOT NULL CHECK (name <> ''),
    position INTEGER NOT NULL DEFAULT 0,
    kind TEXT NOT NULL DEFAULT '',
    command TEXT NOT NULL DEFAULT '[]',
    environment TEXT NOT NULL DEFAULT '[]',
    restart TEXT NOT NULL DEFAULT 'always'
        CHECK (restart = 'always' OR restart = 'on-failure' OR restart = 'never'),
    stop_signal TEXT NOT NULL DEFAULT '',
    stop_timeout_ms INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'stopped'
        CHECK (state = 'stopped' OR state = 'starting' OR state = 'running' OR
            state = 'stopping' OR state = 'ended' OR state = 'backoff' OR state = 'failed'),
    pid INTEGER NOT NULL DEFAULT 0,
    restarts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    valid_from INTEGER NOT NULL
        DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
    PRIMARY KEY (pool, name),
    FOREIGN KEY (pool) REFERENCES pools (name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE replicas (
    pool TEXT NOT NULL CHECK (pool <> ''),
    node TEXT NOT NULL CHECK (node <> ''),
    state TEXT NOT NULL DEFAULT 'seeding'
        CHECK (state = 'seeding' OR state = 'complete' OR state = 'failing' OR state = 'diverged'),
    epoch INTEGER NOT NULL DEFAULT 0,
    sequence INTEGER NOT NULL DEFAULT 0,
    as_of INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    hash TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (pool, node),
    FOREIGN KEY (pool) REFERENCES pools (name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX replicas_by_node ON replicas (node);

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    kind TEXT NOT NULL DEFAULT 'move'
        CHECK (kind = 'move' OR kind = 'drain' OR kind = 'takeover' OR kind = 'start' OR
            kind = 'stop' OR kind = 'remove' OR kind = 'fence' OR kind = 'retire'),
    state TEXT NOT NULL DEFAULT 'queued'
        CHECK (state = 'queued' OR state = 'running' OR state = 'succeeded' OR state = 'failed' OR
            state = 'cancelled'),
    phase TEXT NOT NULL DEFAULT 'planned'
        CHECK (phase = 'planned' OR phase = 'copying' OR phase = 'stopping' OR
            phase = 'activating' OR phase = 'returning' OR phase = 'done'),
    progress INTEGER NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    reason TEXT NOT NULL DEFAULT '',
    waiting_on TEXT NOT NULL DEFAULT '',
    pool TEXT NOT NULL DEFAULT '',
    node TEXT NOT NULL DEFAULT '',
    target TEXT NOT NULL DEFAULT '',
    parent INTEGER NOT NULL DEFAULT 0,
    max_parallel INTEGER NOT NULL DEFAULT 0,
    deadline_at INTEGER NOT NULL DEFAULT 0,
    proof TEXT NOT NULL DEFAULT 'none'
        CHECK (proof = 'none' OR proof = 'released' OR proof = 'fenced' OR proof = 'confirmed' OR
            proof = 'expired'),
    data_loss_ms INTEGER NOT NULL DEFAULT 0,
    downtime_ms INTEGER NOT NULL DEFAULT 0,
    cancelling INTEGER NOT NULL DEFAULT 0 CHECK (cancelling BETWEEN 0 AND 1),
    who TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_by_end ON jobs (ended_at);
CREATE INDEX jobs_by_parent ON jobs (parent);

CREATE TABLE events (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    at INTEGER NOT NULL DEFAULT 0,
    level TEXT NOT NULL DEFAULT 'info'
        CHECK (level = 'info' OR level = 'warning' OR level = 'error'),
    kind TEXT NOT NULL DEFAULT '',
    node TEXT NOT NULL DEFAULT '',
    pool TEXT NOT NULL DEFAULT '',
    job INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    term INTEGER NOT NULL DEFAULT 0,
    who TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_pool ON events (pool);
CREATE INDEX events_by_node ON events (node);
CREATE INDEX events_by_job ON events (job);

CREATE TABLE identities (
    name TEXT NOT NULL CHECK (name <> ''),
    role TEXT NOT NULL DEFAULT 'none'
        CHECK (role = 'none' OR role = 'agent' OR role = 'viewer' OR role = 'operator' OR
            role = 'admin'),
    public_key TEXT NOT NULL DEFAULT '',
    revoked INTEGER NOT NULL DEFAULT 0 CHECK (revoked BETWEEN 0 AND 1),
    token_hash TEXT NOT NULL DEFAULT '',
    token_expires_at INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;
