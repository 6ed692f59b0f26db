-- Jobs of the kind vm: what is done to a VM once. SQLite changes no CHECK in place.
CREATE TABLE jobs_new (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    kind TEXT NOT NULL DEFAULT 'move'
        CHECK (kind = 'move' OR kind = 'drain' OR kind = 'takeover' OR kind = 'start' OR
            kind = 'stop' OR kind = 'remove' OR kind = 'fence' OR kind = 'retire' OR
            kind = 'verify' OR kind = 'vm'),
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
    ended_at INTEGER NOT NULL DEFAULT 0,
    silent_at INTEGER NOT NULL DEFAULT 0,
    copy_epoch INTEGER NOT NULL DEFAULT 0,
    copy_sequence INTEGER NOT NULL DEFAULT 0,
    vm TEXT NOT NULL DEFAULT '',
    operation TEXT NOT NULL DEFAULT 'none'
        CHECK (operation = 'none' OR operation = 'reset' OR operation = 'pause' OR
            operation = 'resume' OR operation = 'snapshot-create' OR
            operation = 'snapshot-rollback' OR operation = 'snapshot-delete' OR
            operation = 'snapshot-list'),
    item TEXT NOT NULL DEFAULT '',
    epoch INTEGER NOT NULL DEFAULT 0,
    request_id TEXT NOT NULL DEFAULT '',
    result TEXT
) STRICT;
INSERT INTO jobs_new (id, kind, state, phase, progress, reason, waiting_on, pool, node, target, parent,
    max_parallel, deadline_at, proof, data_loss_ms, downtime_ms, cancelling, who, created_at, started_at, ended_at,
    silent_at, copy_epoch, copy_sequence)
SELECT id, kind, state, phase, progress, reason, waiting_on, pool, node, target, parent,
    max_parallel, deadline_at, proof, data_loss_ms, downtime_ms, cancelling, who, created_at, started_at, ended_at,
    silent_at, copy_epoch, copy_sequence FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_new RENAME TO jobs;
CREATE INDEX jobs_by_end ON jobs (ended_at);
CREATE INDEX jobs_by_parent ON jobs (parent);
