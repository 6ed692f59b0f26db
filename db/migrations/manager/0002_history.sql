-- History: each version of a node, pool or vm that has ended, with the span [valid_from, valid_to).
-- The version in force stands in the table itself. A change that leaves every field as it was is
-- none; nor is a change of nothing but a vm's pid.
--
-- The triggers name their columns so that their own change of valid_from calls none. Two numbers of the
-- safety rules only ever grow (docs/failure-model.md): the store holds to it here, where a change is
-- looked at anyway.

CREATE TABLE nodes_history (
    change INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    admin TEXT NOT NULL,
    generation INTEGER NOT NULL,
    granting INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    public_key TEXT NOT NULL,
    version TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    labels TEXT NOT NULL,
    drivers TEXT NOT NULL,
    cpu INTEGER NOT NULL,
    memory_mib INTEGER NOT NULL,
    disk_mib INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    quarantined_until INTEGER NOT NULL,
    since INTEGER NOT NULL,
    reason TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER NOT NULL
) STRICT;
CREATE INDEX nodes_history_by_key ON nodes_history (name, valid_to);
CREATE INDEX nodes_history_by_end ON nodes_history (valid_to);

CREATE TRIGGER nodes_changed AFTER UPDATE OF
    name, state, admin, generation, granting, endpoint, public_key, version, boot_id, labels,
    drivers, cpu, memory_mib, disk_mib, failures, quarantined_until, since, reason
ON nodes
WHEN
    OLD.name IS NOT NEW.name OR OLD.state IS NOT NEW.state OR OLD.admin IS NOT NEW.admin OR
    OLD.generation IS NOT NEW.generation OR OLD.granting IS NOT NEW.granting OR
    OLD.endpoint IS NOT NEW.endpoint OR OLD.public_key IS NOT NEW.public_key OR
    OLD.version IS NOT NEW.version OR OLD.boot_id IS NOT NEW.boot_id OR
    OLD.labels IS NOT NEW.labels OR OLD.drivers IS NOT NEW.drivers OR OLD.cpu IS NOT NEW.cpu OR
    OLD.memory_mib IS NOT NEW.memory_mib OR OLD.disk_mib IS NOT NEW.disk_mib OR
    OLD.failures IS NOT NEW.failures OR OLD.quarantined_until IS NOT NEW.quarantined_until OR
    OLD.since IS NOT NEW.since OR OLD.reason IS NOT NEW.reason
BEGIN
    SELECT RAISE(ABORT, 'nodes.generation never goes back') WHERE NEW.generation < OLD.generation;
    INSERT INTO nodes_history (
        name, state, admin, generation, granting, endpoint, public_key, version, boot_id, labels,
        drivers, cpu, memory_mib, disk_mib, failures, quarantined_until, since, reason, valid_from,
        valid_to)
    VALUES (
        OLD.name, OLD.state, OLD.admin, OLD.generation, OLD.granting, OLD.endpoint, OLD.public_key,
        OLD.version, OLD.boot_id, OLD.labels, OLD.drivers, OLD.cpu, OLD.memory_mib, OLD.disk_mib,
        OLD.failures, OLD.quarantined_until, OLD.since, OLD.reason, OLD.valid_from,
        (SELECT at FROM history_clock));
    UPDATE nodes SET valid_from = (SELECT at FROM history_clock)
        WHERE name = NEW.name;
END;

CREATE TRIGGER nodes_removed AFTER DELETE ON nodes
BEGIN
    INSERT INTO nodes_history (
        name, state, admin, generation, granting, endpoint, public_key, version, boot_id, labels,
        drivers, cpu, memory_mib, disk_mib, failures, quarantined_until, since, reason, valid_from,
        valid_to)
    VALUES (
        OLD.name, OLD.state, OLD.admin, OLD.generation, OLD.granting, OLD.endpoint, OLD.public_key,
        OLD.version, OLD.boot_id, OLD.labels, OLD.drivers, OLD.cpu, OLD.memory_mib, OLD.disk_mib,
        OLD.failures, OLD.quarantined_until, OLD.since, OLD.reason, OLD.valid_from,
        (SELECT at FROM history_clock));
END;

CREATE TABLE pools_history (
    change INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    driver TEXT NOT NULL,
    state TEXT NOT NULL,
    desired TEXT NOT NULL,
    node TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    created INTEGER NOT NULL,
    home TEXT NOT NULL,
    priority INTEGER NOT NULL,
    copies INTEGER NOT NULL,
    cpu INTEGER NOT NULL,
    memory_mib INTEGER NOT NULL,
    disk_mib INTEGER NOT NULL,
    sync_interval_s INTEGER NOT NULL,
    max_data_loss_s INTEGER NOT NULL,
    failback TEXT NOT NULL,
    failback_at TEXT NOT NULL,
    allow TEXT NOT NULL,
    prefer TEXT NOT NULL,
    together TEXT NOT NULL,
    apart TEXT NOT NULL,
    revision INTEGER NOT NULL,
    since INTEGER NOT NULL,
    reason TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER NOT NULL
) STRICT;
CREATE INDEX pools_history_by_key ON pools_history (name, valid_to);
CREATE INDEX pools_history_by_end ON pools_history (valid_to);

CREATE TRIGGER pools_changed AFTER UPDATE OF
    name, driver, state, desired, node, epoch, created, home, priority, copies, cpu, memory_mib,
    disk_mib, sync_interval_s, max_data_loss_s, failback, failback_at, allow, prefer, together,
    apart, revision, since, reason
ON pools
WHEN
    OLD.name IS NOT NEW.name OR OLD.driver IS NOT NEW.driver OR OLD.state IS NOT NEW.state OR
    OLD.desired IS NOT NEW.desired OR OLD.node IS NOT NEW.node OR OLD.epoch IS NOT NEW.epoch OR
    OLD.created IS NOT NEW.created OR OLD.home IS NOT NEW.home OR
    OLD.priority IS NOT NEW.priority OR OLD.copies IS NOT NEW.copies OR OLD.cpu IS NOT NEW.cpu OR
    OLD.memory_mib IS NOT NEW.memory_mib OR OLD.disk_mib IS NOT NEW.disk_mib OR
    OLD.sync_interval_s IS NOT NEW.sync_interval_s OR
    OLD.max_data_loss_s IS NOT NEW.max_data_loss_s OR OLD.failback IS NOT NEW.failback OR
    OLD.failback_at IS NOT NEW.failback_at OR OLD.allow IS NOT NEW.allow OR
    OLD.prefer IS NOT NEW.prefer OR OLD.together IS NOT NEW.together OR
    OLD.apart IS NOT NEW.apart OR OLD.revision IS NOT NEW.revision OR OLD.since IS NOT NEW.since OR
    OLD.reason IS NOT NEW.reason
BEGIN
    SELECT RAISE(ABORT, 'pools.epoch never goes back') WHERE NEW.epoch < OLD.epoch;
    INSERT INTO pools_history (
        name, driver, state, desired, node, epoch, created, home, priority, copies, cpu, memory_mib,
        disk_mib, sync_interval_s, max_data_loss_s, failback, failback_at, allow, prefer, together,
        apart, revision, since, reason, valid_from, valid_to)
    VALUES (
        OLD.name, OLD.driver, OLD.state, OLD.desired, OLD.node, OLD.epoch, OLD.created, OLD.home,
        OLD.priority, OLD.copies, OLD.cpu, OLD.memory_mib, OLD.disk_mib, OLD.sync_interval_s,
        OLD.max_data_loss_s, OLD.failback, OLD.failback_at, OLD.allow, OLD.prefer, OLD.together,
        OLD.apart, OLD.revision, OLD.since, OLD.reason, OLD.valid_from,
        (SELECT at FROM history_clock));
    UPDATE pools SET valid_from = (SELECT at FROM history_clock)
        WHERE name = NEW.name;
END;

CREATE TRIGGER pools_removed AFTER DELETE ON pools
BEGIN
    INSERT INTO pools_history (
        name, driver, state, desired, node, epoch, created, home, priority, copies, cpu, memory_mib,
        disk_mib, sync_interval_s, max_data_loss_s, failback, failback_at, allow, prefer, together,
        apart, revision, since, reason, valid_from, valid_to)
    VALUES (
        OLD.name, OLD.driver, OLD.state, OLD.desired, OLD.node, OLD.epoch, OLD.created, OLD.home,
        OLD.priority, OLD.copies, OLD.cpu, OLD.memory_mib, OLD.disk_mib, OLD.sync_interval_s,
        OLD.max_data_loss_s, OLD.failback, OLD.failback_at, OLD.allow, OLD.prefer, OLD.together,
        OLD.apart, OLD.revision, OLD.since, OLD.reason, OLD.valid_from,
        (SELECT at FROM history_clock));
END;

CREATE TABLE vms_history (
    change INTEGER PRIMARY KEY,
    pool TEXT NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    command TEXT NOT NULL,
    environment TEXT NOT NULL,
    restart TEXT NOT NULL,
    stop_signal TEXT NOT NULL,
    stop_timeout_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    pid INTEGER NOT NULL,
    restarts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER NOT NULL
) STRICT;
CREATE INDEX vms_history_by_key ON vms_history (pool, name, valid_to);
CREATE INDEX vms_history_by_end ON vms_history (valid_to);

CREATE TRIGGER vms_changed AFTER UPDATE OF
    pool, name, position, kind, command, environment, restart, stop_signal, stop_timeout_ms, state,
    pid, restarts, reason
ON vms
WHEN
    OLD.pool IS NOT NEW.pool OR OLD.name IS NOT NEW.name OR OLD.position IS NOT NEW.position OR
    OLD.kind IS NOT NEW.kind OR OLD.command IS NOT NEW.command OR
    OLD.environment IS NOT NEW.environment OR OLD.restart IS NOT NEW.restart OR
    OLD.stop_signal IS NOT NEW.stop_signal OR OLD.stop_timeout_ms IS NOT NEW.stop_timeout_ms OR
    OLD.state IS NOT NEW.state OR OLD.restarts IS NOT NEW.restarts OR OLD.reason IS NOT NEW.reason
BEGIN
    INSERT INTO vms_history (
        pool, name, position, kind, command, environment, restart, stop_signal, stop_timeout_ms,
        state, pid, restarts, reason, valid_from, valid_to)
    VALUES (
        OLD.pool, OLD.name, OLD.position, OLD.kind, OLD.command, OLD.environment, OLD.restart,
        OLD.stop_signal, OLD.stop_timeout_ms, OLD.state, OLD.pid, OLD.restarts, OLD.reason,
        OLD.valid_from, (SELECT at FROM history_clock));
    UPDATE vms SET valid_from = (SELECT at FROM history_clock)
        WHERE pool = NEW.pool AND name = NEW.name;
END;

CREATE TRIGGER vms_removed AFTER DELETE ON vms
BEGIN
    INSERT INTO vms_history (
        pool, name, position, kind, command, environment, restart, stop_signal, stop_timeout_ms,
        state, pid, restarts, reason, valid_from, valid_to)
    VALUES (
        OLD.pool, OLD.name, OLD.position, OLD.kind, OLD.command, OLD.environment, OLD.restart,
        OLD.stop_signal, OLD.stop_timeout_ms, OLD.state, OLD.pid, OLD.restarts, OLD.reason,
        OLD.valid_from, (SELECT at FROM history_clock));
END;
