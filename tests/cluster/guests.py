"""Real guests for tests: QEMU, a small Linux made by tests/guest/make, its serial port and its beats."""
import pathlib
import re
import selectors
import socket
import subprocess
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
GUEST = SOURCE / "build/guest"


def make():
    subprocess.run([SOURCE / "tests/guest/make", GUEST], check=True, stdout=subprocess.DEVNULL)
    return GUEST


def pool(name, prefer=(), copies=1, driver="directory", port=None, vm="guest", qemu="", vm_more="", append="",
         disks="[{name: root, format: qcow2, size_mib: 16}]"):
    """The declaration of a pool with one VM; `port` is where its beats go."""
    append = f"console=ttyS0 quiet {append}" + (f" ph.beat={port}" if port else "")
    text = f"""\
  - name: {name}
    driver: {driver}
    copies: {copies}
    sync_interval_s: 2
    nodes: {{prefer: [{', '.join(prefer)}]}}
    vms:
      - name: {vm}
        kind: qemu
        stop_timeout_ms: 20000
        qemu:
          memory_mib: 128
          kernel: {GUEST}/vmlinuz
          initrd: {GUEST}/initrd
          append: {append}
          disks: {disks}
          nics: [{{name: net}}]
"""
    text += "".join(f"          {line}\n" for line in qemu.splitlines())
    text += "".join(f"        {line}\n" for line in vm_more.splitlines())
    return text


def log(node, pool_name, vm="guest"):
    path = node.dir / "log" / pool_name / f"{vm}.log"
    return path.read_text(errors="replace") if path.exists() else ""


def ups(node, pool_name, vm="guest"):
    """(counter, boot) of each start that the node's log knows of."""
    return [(int(counter), boot) for counter, boot in
            re.findall(r"guest up counter=(\d+) boot=([0-9a-f]{8})", log(node, pool_name, vm))]


def say(node, pool_name, line, until, vm="guest", limit_s=20):
    """Writes a line to the guest's serial port and returns what it answers, up to a line with `until`."""
    path = node.dir / "run/work" / pool_name / f"{vm}.serial"
    end = time.monotonic() + limit_s
    with socket.socket(socket.AF_UNIX) as serial:
        serial.connect(str(path))
        serial.settimeout(1)
        said = ""
        while time.monotonic() < end:
            serial.sendall(line.encode() + b"\n")
            again = time.monotonic() + 3
            while time.monotonic() < min(end, again):
                try:
                    part = serial.recv(4096)
                except socket.timeout:
                    continue
                if not part:
                    raise AssertionError(f"the serial port was closed; until then: {said!r}")
                said += part.decode(errors="replace")
                if re.search(until + r"[^\n]*\n", said):
                    return said
    raise AssertionError(f"no {until!r} within {limit_s} s; the guest said {said!r}")


class Beats:
    """Hears the guests' beats: (time, boot, counter), each boot of a guest being one span of time."""

    def __init__(self):
        self.heard = []
        self._selector = selectors.DefaultSelector()
        listener = socket.create_server(("127.0.0.1", 0))
        self._selector.register(listener, selectors.EVENT_READ)
        self.port = listener.getsockname()[1]
        self._open = True
        self._thread = threading.Thread(target=self._listen, args=(listener,), daemon=True)
        self._thread.start()

    def _listen(self, listener):
        parts = {}
        while self._open:
            for key, _ in self._selector.select(0.2):
                if key.fileobj is listener:
                    connection = listener.accept()[0]
                    parts[connection] = ""
                    self._selector.register(connection, selectors.EVENT_READ)
                    continue
                try:
                    data = key.fileobj.recv(4096)
                except OSError:
                    data = b""
                if not data:
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()
                    continue
                *lines, parts[key.fileobj] = (parts[key.fileobj] + data.decode(errors="replace")).split("\n")
                for line in lines:
                    words = line.split()
                    if len(words) == 2 and words[1].isdigit():
                        self.heard.append((time.monotonic(), words[0], int(words[1])))

    def close(self):
        self._open = False
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def spans(self):
        spans = {}
        for at, boot, counter in list(self.heard):
            first, _, _ = spans.get(boot, (at, at, counter))
            spans[boot] = (first, at, counter)
        return sorted((first, last, boot, counter) for boot, (first, last, counter) in spans.items())

    def assert_one_at_a_time(self):
        spans = self.spans()
        for before, after in zip(spans, spans[1:]):
            if after[0] <= before[1]:
                raise AssertionError(f"two guests ran at once: {before} and {after}")
