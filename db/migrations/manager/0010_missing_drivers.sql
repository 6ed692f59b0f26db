-- Drivers that do not work on a node, each with why and what would help.
ALTER TABLE nodes ADD COLUMN drivers_missing TEXT NOT NULL DEFAULT '[]';
ALTER TABLE nodes_history ADD COLUMN drivers_missing TEXT NOT NULL DEFAULT '[]';

DROP TRIGGER nodes_changed;
DROP TRIGGER nodes_removed;

CREATE TRIGGER nodes_changed AFTER UPDATE OF
    name, state, admin, generation, granting, endpoint, public_key, version, boot_id, labels,
    drivers, cpu, memory_mib, disk_mib, failures, quarantined_until, since, reason, watchdog_ms,
    kills_by, guard_note, stuck, drivers_missing
ON nodes
WHEN
    OLD.name IS NOT NEW.name OR OLD.state IS NOT NEW.state OR OLD.admin IS NOT NEW.admin OR
    OLD.generation IS NOT NEW.generation OR OLD.granting IS NOT NEW.granting OR
    OLD.endpoint IS NOT NEW.endpoint OR OLD.public_key IS NOT NEW.public_key OR
    OLD.version IS NOT NEW.version OR OLD.boot_id IS NOT NEW.boot_id OR
    OLD.labels IS NOT NEW.labels OR OLD.drivers IS NOT NEW.drivers OR OLD.cpu IS NOT NEW.cpu OR
    OLD.memory_mib IS NOT NEW.memory_mib OR OLD.disk_mib IS NOT NEW.disk_mib OR
    OLD.failures IS NOT NEW.failures OR OLD.quarantined_until IS NOT NEW.quarantined_until OR
    OLD.since IS NOT NEW.since OR OLD.reason IS NOT NEW.reason OR
    OLD.watchdog_ms IS NOT NEW.watchdog_ms OR OLD.kills_by IS NOT NEW.kills_by OR
    OLD.guard_note IS NOT NEW.guard_note OR OLD.stuck IS NOT NEW.stuck OR
    OLD.drivers_missing IS NOT NEW.drivers_missing
BEGIN
    SELECT RAISE(ABORT, 'nodes.generation never goes back') WHERE NEW.generation < OLD.generation;
    INSERT INTO nodes_history (
        name, state, admin, generation, granting, endpoint, public_key, version, boot_id, labels,
        drivers, cpu, memory_mib, disk_mib, failures, quarantined_until, since, reason,
        watchdog_ms, kills_by, guard_note, stuck, drivers_missing, valid_from, valid_to)
    VALUES (
        OLD.name, OLD.state, OLD.admin, OLD.generation, OLD.granting, OLD.endpoint, OLD.public_key,
        OLD.version, OLD.boot_id, OLD.labels, OLD.drivers, OLD.cpu, OLD.memory_mib, OLD.disk_mib,
        OLD.failures, OLD.quarantined_until, OLD.since, OLD.reason, OLD.watchdog_ms, OLD.kills_by,
        OLD.guard_note, OLD.stuck, OLD.drivers_missing, OLD.valid_from,
        (SELECT at FROM history_clock));
    UPDATE nodes SET valid_from = (SELECT at FROM history_clock)
        WHERE name = NEW.name;
END;

CREATE TRIGGER nodes_removed AFTER DELETE ON nodes
BEGIN
    INSERT INTO nodes_history (
        name, state, admin, generation, granting, endpoint, public_key, version, boot_id, labels,
        drivers, cpu, memory_mib, disk_mib, failures, quarantined_until, since, reason,
        watchdog_ms, kills_by, guard_note, stuck, drivers_missing, valid_from, valid_to)
    VALUES (
        OLD.name, OLD.state, OLD.admin, OLD.generation, OLD.granting, OLD.endpoint, OLD.public_key,
        OLD.version, OLD.boot_id, OLD.labels, OLD.drivers, OLD.cpu, OLD.memory_mib, OLD.disk_mib,
        OLD.failures, OLD.quarantined_until, OLD.since, OLD.reason, OLD.watchdog_ms, OLD.kills_by,
        OLD.guard_note, OLD.stuck, OLD.drivers_missing, OLD.valid_from,
        (SELECT at FROM history_clock));
END;
