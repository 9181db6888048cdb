"""Child processes that can't outlive the test: each owns its log, is ended by its pid, and is scanned for what
sanitizers say."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import time

from . import PATIENCE

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

SANITIZER = re.compile(
    r"(ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed"
    r"|\*\*\* (stack smashing|buffer overflow) detected)"
)


# What this process has given out and nobody may have bound yet, and whose turn a port is when several workers test.
_given_ports = set()
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def free_port():
    """A port that the kernel has just had free, never the same twice, and never one that another worker of this run is
    given: the kernel gives a port again as soon as the probe is closed. Somebody else may still take it before us."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # By halves: the kernel prefers odd ports for those that ask for any.
        if port // 2 % _workers == _worker % _workers and port not in _given_ports:
            _given_ports.add(port)
            return port


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def environment(extra=None):
    """Ours, without what would change the programs' behaviour."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TARN_")}
    env.setdefault("ASAN_OPTIONS", "abort_on_error=0:exitcode=99:detect_stack_use_after_return=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.update(extra or {})
    return env


class Process:
    def __init__(self, argv, log_path, env=None, cwd=None, name=None):
        self.argv = [str(part) for part in argv]
        self.name = name or os.path.basename(self.argv[0])
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
                                          env=environment(env), preexec_fn=_die_with_parent)

    @property
    def pid(self):
        return self.child.pid

    def is_alive(self):
        return self.child.poll() is None

    def assert_alive(self):
        status = self.child.poll()
        assert status is None, f"{self.name} ended with status {status}:\n{self.log()[-3000:]}"

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def stop(self, timeout_s=10):
        """SIGTERM; returns how many seconds it took. Ending by anything but exit status 0 is a failure."""
        began = time.monotonic()
        if self.is_alive():
            self.child.terminate()
        status = self._wait(timeout_s)
        assert status == 0, f"{self.name} ended with status {status} after SIGTERM:\n{self.log()[-3000:]}"
        return time.monotonic() - began

    def kill(self):
        """kill -9: no last words."""
        self.child.kill()
        self.child.wait()

    def wait(self, timeout_s=30):
        """Waits for it to end by itself; returns the exit status."""
        return self._wait(timeout_s)

    def _wait(self, timeout_s):
        try:
            return self.child.wait(timeout_s * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} still ran after {timeout_s * PATIENCE} s:\n{self.log()[-3000:]}")

    def end(self):
        """For teardown: gone, whatever it takes."""
        if self.is_alive():
            self.child.terminate()
            try:
                self.child.wait(5 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()

    def assert_sane(self):
        """No sanitizer, no assertion of ours has spoken."""
        log = self.log()
        found = SANITIZER.search(log)
        assert not found, f"{self.name} at {self.log_path}:\n{log[found.start():][:6000]}"
