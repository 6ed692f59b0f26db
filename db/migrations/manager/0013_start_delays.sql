-- How long a VM has before the next one is started.
ALTER TABLE vms ADD COLUMN start_delay_ms INTEGER NOT NULL DEFAULT 0
    CHECK (start_delay_ms BETWEEN 0 AND 600000);
ALTER TABLE vms_history ADD COLUMN start_delay_ms INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER vms_changed;
DROP TRIGGER vms_removed;

CREATE TRIGGER vms_changed AFTER UPDATE OF
    pool, name, position, kind, command, environment, restart, stop_signal, stop_timeout_ms, state,
    pid, restarts, reason, qemu, labels, guest, accelerator, addresses, memory_used_mib,
    disk_used_mib, vnc, halted, container, ocf, start_delay_ms
ON vms
WHEN
    OLD.pool IS NOT NEW.pool OR OLD.name IS NOT NEW.name OR OLD.position IS NOT NEW.position OR
    OLD.kind IS NOT NEW.kind OR OLD.command IS NOT NEW.command OR
    OLD.environment IS NOT NEW.environment OR OLD.restart IS NOT NEW.restart OR
    OLD.stop_signal IS NOT NEW.stop_signal OR OLD.stop_timeout_ms IS NOT NEW.stop_timeout_ms OR
    OLD.state IS NOT NEW.state OR OLD.restarts IS NOT NEW.restarts OR
    OLD.reason IS NOT NEW.reason OR OLD.qemu IS NOT NEW.qemu OR OLD.labels IS NOT NEW.labels OR
    OLD.guest IS NOT NEW.guest OR OLD.accelerator IS NOT NEW.accelerator OR
    OLD.addresses IS NOT NEW.addresses OR OLD.vnc IS NOT NEW.vnc OR OLD.halted IS NOT NEW.halted OR
    OLD.container IS NOT NEW.container OR OLD.ocf IS NOT NEW.ocf OR
    OLD.start_delay_ms IS NOT NEW.start_delay_ms
BEGIN
    INSERT INTO vms_history (
        pool, name, position, kind, command, environment, restart, stop_signal, stop_timeout_ms,
        state, pid, restarts, reason, qemu, labels, guest, accelerator, addresses, memory_used_mib,
        disk_used_mib, vnc, halted, container, ocf, start_delay_ms, valid_from, valid_to)
    VALUES (
        OLD.pool, OLD.name, OLD.position, OLD.kind, OLD.command, OLD.environment, OLD.restart,
        OLD.stop_signal, OLD.stop_timeout_ms, OLD.state, OLD.pid, OLD.restarts, OLD.reason,
        OLD.qemu, OLD.labels, OLD.guest, OLD.accelerator, OLD.addresses, OLD.memory_used_mib,
        OLD.disk_used_mib, OLD.vnc, OLD.halted, OLD.container, OLD.ocf, OLD.start_delay_ms,
        OLD.valid_from, (SELECT at FROM history_clock));
    UPDATE vms SET valid_from = (SELECT at FROM history_clock)
        WHERE pool = NEW.pool AND name = NEW.name;
END;

CREATE TRIGGER vms_removed AFTER DELETE ON vms
BEGIN
    INSERT INTO vms_history (
        pool, name, position, kind, command, environment, restart, stop_signal, stop_timeout_ms,
        state, pid, restarts, reason, qemu, labels, guest, accelerator, addresses, memory_used_mib,
        disk_used_mib, vnc, halted, container, ocf, start_delay_ms, valid_from, valid_to)
    VALUES (
        OLD.pool, OLD.name, OLD.position, OLD.kind, OLD.command, OLD.environment, OLD.restart,
        OLD.stop_signal, OLD.stop_timeout_ms, OLD.state, OLD.pid, OLD.restarts, OLD.reason,
        OLD.qemu, OLD.labels, OLD.guest, OLD.accelerator, OLD.addresses, OLD.memory_used_mib,
        OLD.disk_used_mib, OLD.vnc, OLD.halted, OLD.container, OLD.ocf, OLD.start_delay_ms,
        OLD.valid_from, (SELECT at FROM history_clock));
END;
