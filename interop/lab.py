"""A laboratory for daemons: a private network, a temporary directory, processes, deadlines.

Nothing here ever gives a process the right to set the clock: CAP_SYS_TIME is dropped before the
first one starts, and each one is looked at after its start.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PR_CAPBSET_DROP = 24
CAP_SYS_TIME = 25
CLOCK_CALLS = "clock_adjtime,adjtimex,clock_settime,settimeofday"


class Failure(Exception):
    """A check did not hold, or not in time."""


def isolate(script):
    """Runs `script` again without the right to set the clock, in a private network if possible.

    In a network namespace of our own every port is free and no packet leaves. Where the machine
    does not allow one, the lab works on the machine's loopback addresses.
    """
    if "INTEROP_PRIVATE_NETWORK" not in os.environ:
        command = _private_network_command()
        os.environ["INTEROP_PRIVATE_NETWORK"] = "yes" if command else "no"
        os.execvp((command + [sys.executable])[0],
                  command + [sys.executable, script, *sys.argv[1:]])
    if is_private():
        _bring_up_loopback()
    if may_set_the_clock(os.getpid()):
        # What is taken out of the bounding set is gone with the next exec, for root too.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0) != 0:
            raise Failure("cannot give up CAP_SYS_TIME: " + os.strerror(ctypes.get_errno()))
        os.execv(sys.executable, [sys.executable, script, *sys.argv[1:]])


def is_private():
    """Whether `isolate` has made a network of our own."""
    return os.environ["INTEROP_PRIVATE_NETWORK"] == "yes"


def _private_network_command():
    command = ["unshare", "--net"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    works = shutil.which("unshare") and subprocess.run(
        command + ["true"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ).returncode == 0
    return command if works else []


def _bring_up_loopback():
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(s, get_flags, request))[1]
        fcntl.ioctl(s, set_flags, struct.pack("16sh22x", b"lo", flags | up))


def may_set_the_clock(pid):
    """Whether the process has CAP_SYS_TIME; a process that is gone has not."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            lines = dict(line.split(":", 1) for line in status)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(int(lines.get("CapEff", "0"), 16) >> CAP_SYS_TIME & 1)


class Process:
    """One daemon with its log file."""

    def __init__(self, name, popen, log):
        self.name, self.popen, self.log = name, popen, log

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def running(self):
        return self.popen.poll() is None


class Lab:
    """Use as a context manager: at its end no process and no file is left."""

    def __init__(self):
        self.processes = []
        self._ports = set()

    def __enter__(self):
        # Ends as an exception does: through __exit__.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        os.umask(0o077)
        self.dir = tempfile.mkdtemp(prefix="interop.")
        return self

    def __exit__(self, *_):
        for process in self.processes:
            self.stop(process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def free_port(self, address, kind=socket.SOCK_STREAM):
        """A port that is free now and that this lab has not given away before."""
        while True:
            with socket.socket(socket.AF_INET, kind) as s:
                s.bind((address, 0))
                port = s.getsockname()[1]
            if port not in self._ports:
                self._ports.add(port)
                return port

    def start(self, name, argv, env=None):
        """Starts a daemon in the lab's directory, in a process group of its own."""
        log = self.path(name + ".log")
        with open(log, "ab") as out:
            popen = subprocess.Popen(
                argv, cwd=self.dir, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )
        process = Process(name, popen, log)
        self.processes.append(process)
        if may_set_the_clock(popen.pid):
            raise Failure(f"{name} could set the clock: this must never be")
        return process

    def stop(self, process):
        """Ends the process group of a daemon that `start` made."""
        for ending in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.popen.pid, ending)
            except ProcessLookupError:
                pass
            try:
                process.popen.wait(timeout=5)
                return
            except subprocess.TimeoutExpired:
                continue

    def wait(self, what, seconds, check, *processes):
        """Polls `check` until it returns something true; `processes` must live meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            result = check()
            if result:
                return result
            dead = [p.name for p in processes if not p.running()]
            if dead:
                raise Failure(f"{what}: {', '.join(dead)} ended with {self._status(processes)}")
            if time.monotonic() > deadline:
                raise Failure(f"{what}: not within {seconds} s")
            time.sleep(0.1)

    @staticmethod
    def _status(processes):
        return ", ".join(str(p.popen.returncode) for p in processes if not p.running())

    def wait_for_tcp(self, address, port, process):
        def connects():
            with socket.socket() as s:
                s.settimeout(1)
                return s.connect_ex((address, port)) == 0

        self.wait(f"{process.name} listens on {address}:{port}", 20, connects, process)

    def print_logs(self, lines=25):
        for process in self.processes:
            tail = process.log_text().splitlines()[-lines:]
            print(f"--- {process.name}: last {len(tail)} lines of its log", file=sys.stderr)
            print("\n".join(tail), file=sys.stderr)
