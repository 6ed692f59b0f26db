-- Settings of pool drivers: a pool_settings record as JSON, or NULL.
ALTER TABLE pools ADD COLUMN settings TEXT;
ALTER TABLE pools_history ADD COLUMN settings TEXT;

DROP TRIGGER pools_changed;
DROP TRIGGER pools_removed;

CREATE TRIGGER pools_changed AFTER UPDATE OF
    name, driver, state, desired, node, epoch, created, home, priority, copies, cpu, memory_mib,
    disk_mib, sync_interval_s, max_data_loss_s, failback, failback_at, allow, prefer, together,
    apart, revision, since, reason, settings
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
    OLD.reason IS NOT NEW.reason OR OLD.settings IS NOT NEW.settings
BEGIN
    SELECT RAISE(ABORT, 'pools.epoch never goes back') WHERE NEW.epoch < OLD.epoch;
    INSERT INTO pools_history (
        name, driver, state, desired, node, epoch, created, home, priority, copies, cpu, memory_mib,
        disk_mib, sync_interval_s, max_data_loss_s, failback, failback_at, allow, prefer, together,
        apart, revision, since, reason, settings, valid_from, valid_to)
    VALUES (
        OLD.name, OLD.driver, OLD.state, OLD.desired, OLD.node, OLD.epoch, OLD.created, OLD.home,
        OLD.priority, OLD.copies, OLD.cpu, OLD.memory_mib, OLD.disk_mib, OLD.sync_interval_s,
        OLD.max_data_loss_s, OLD.failback, OLD.failback_at, OLD.allow, OLD.prefer, OLD.together,
        OLD.apart, OLD.revision, OLD.since, OLD.reason, OLD.settings, OLD.valid_from,
        (SELECT at FROM history_clock));
    UPDATE pools SET valid_from = (SELECT at FROM history_clock)
        WHERE name = NEW.name;
END;

CREATE TRIGGER pools_removed AFTER DELETE ON pools
BEGIN
    INSERT INTO pools_history (
        name, driver, state, desired, node, epoch, created, home, priority, copies, cpu, memory_mib,
        disk_mib, sync_interval_s, max_data_loss_s, failback, failback_at, allow, prefer, together,
        apart, revision, since, reason, settings, valid_from, valid_to)
    VALUES (
        OLD.name, OLD.driver, OLD.state, OLD.desired, OLD.node, OLD.epoch, OLD.created, OLD.home,
        OLD.priority, OLD.copies, OLD.cpu, OLD.memory_mib, OLD.disk_mib, OLD.sync_interval_s,
        OLD.max_data_loss_s, OLD.failback, OLD.failback_at, OLD.allow, OLD.prefer, OLD.together,
        OLD.apart, OLD.revision, OLD.since, OLD.reason, OLD.settings, OLD.valid_from,
        (SELECT at FROM history_clock));
END;
