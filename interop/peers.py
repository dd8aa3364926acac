"""The other implementations: how to get them, how to run them, what they say of themselves."""

import csv
import glob
import json
import os
import re
import shutil
import socket
import struct
import subprocess

PROGRAMS = {
    "chrony": ["usr/sbin/chronyd", "usr/bin/chronyc"],
    "ntpsec": ["usr/sbin/ntpd"],
    "haproxy": ["usr/sbin/haproxy"],
}
# Without these the other checks still tell something.
OPTIONAL = {"haproxy"}


class Unavailable(Exception):
    """A peer cannot be had on this machine; the message says how to get it."""


# --- getting them -------------------------------------------------------------------------------

def fetch(directory, in_ci):
    """Unpacks Debian's packages below `directory`: installed, they would conflict.

    In CI missing package lists are fetched and missing libraries installed; elsewhere the message
    says what to do.
    """
    for tool in ("apt-get", "dpkg", "ldd"):
        if not shutil.which(tool):
            raise Unavailable(f"{tool} is missing: this test runs Debian's chrony and ntpsec")
    roots = {}
    for package, programs in PROGRAMS.items():
        root = os.path.join(directory, package)
        try:
            if not os.path.exists(os.path.join(root, "complete")):
                _unpack(root, package, in_ci)
                _need_libraries(package, [os.path.join(root, p) for p in programs], in_ci)
                open(os.path.join(root, "complete"), "w", encoding="ascii").close()
        except Unavailable as reason:
            if package not in OPTIONAL or in_ci:
                raise
            print(f"note   what needs {package} is skipped: {reason}")
            continue
        roots[package] = root
    return roots


def _unpack(root, package, in_ci):
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    download = ["apt-get", "download", "-q", package]
    result = _run(download, root)
    if result.returncode != 0 and in_ci:
        _run(["apt-get", "update", "-q"], root)
        result = _run(download, root)
    if result.returncode != 0:
        raise Unavailable(f"cannot download the package {package}; run `apt-get update` as root, "
                          f"then again:\n{result.stdout.strip()}")
    for deb in glob.glob(os.path.join(root, "*.deb")):
        result = _run(["dpkg", "-x", deb, root], root)
        if result.returncode != 0:
            raise Unavailable(f"cannot unpack {deb}:\n{result.stdout.strip()}")
        os.unlink(deb)


def _need_libraries(package, programs, in_ci):
    if "not found" not in _run(["ldd", *programs], "/").stdout:
        return
    listing = _run(["apt-cache", "depends", package], "/").stdout
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends",
               *sorted(set(re.findall(r"Depends: (lib[^\s<>]+)", listing)))]
    if not in_ci or _run(install, "/").returncode != 0:
        raise Unavailable(f"libraries of {package} are missing: run as root `{' '.join(install)}`")


def _run(argv, cwd):
    return subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


# --- chrony -------------------------------------------------------------------------------------

class Chrony:
    """chronyd as a user; `-x`: it never touches the clock."""

    def __init__(self, lab, root, name, address, ke_port, ntp_port=None):
        how = f"nts ntsport {ke_port}" if ke_port else f"port {ntp_port}"
        self._chronyc = os.path.join(root, "usr/bin/chronyc")
        self._socket = lab.path(name, "chronyd.sock")
        os.mkdir(lab.path(name), 0o700)
        config = lab.write(f"{name}.conf", f"""\
server {address} iburst {how} minpoll 0 maxpoll 0
ntstrustedcerts {lab.path("ca.pem")}
nosystemcert
port 0
cmdport 0
bindcmdaddress {self._socket}
pidfile {lab.path(name, "chronyd.pid")}
user root
""")
        self.process = lab.start(
            name, [os.path.join(root, "usr/sbin/chronyd"), "-x", "-d", "-f", config])

    def ask(self, command):
        """The rows that `chronyc` prints for a command."""
        result = subprocess.run(
            [self._chronyc, "-h", self._socket, "-n", "-c", command], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False)
        return list(csv.reader(result.stdout.splitlines())) if result.returncode == 0 else []

    def report(self, address):
        """What it says of the source at `address` that it uses: offset (positive: the local clock
        is ahead) and bound of its error in seconds; None if there is none."""
        for source in self.ask("sources"):
            if source[2] == address and source[1] == "*":
                return {"offset": float(source[7]), "error": float(source[9])}
        return None

    def tracking(self):
        """What it says of its own clock once that is synchronised, else None."""
        for row in self.ask("tracking"):
            # id, name, stratum, time, system, last offset, RMS, frequency, residual, skew, delay,
            # dispersion, interval, leap
            if row[13] == "Normal" and int(row[2]) > 0:
                return {"stratum": int(row[2]), "offset": float(row[4]),
                        "root_delay": float(row[10]), "root_dispersion": float(row[11])}
        return None

    def authenticated(self):
        """What chrony says when it is synchronised to an authenticated source, else None."""
        for auth, source in zip(self.ask("authdata"), self.ask("sources")):
            # authdata: name, mode, key id, type, key length, last, attempts, NAKs, cookies, length
            # sources: mode, state, name, stratum, poll, reach, last, offset, measured, error
            key_length, cookies, cookie_length = int(auth[4]), int(auth[8]), int(auth[9])
            state, stratum, reach, offset = source[1], int(source[3]), int(source[5], 8), source[7]
            if auth[1] == "NTS" and key_length > 0 and cookies > 0 and state == "*" and reach > 0:
                return (f"source {source[2]} stratum {stratum} reach {reach:o} offset {offset} s, "
                        f"NTS algorithm {auth[3]} key {key_length} bits, {cookies} cookies of "
                        f"{cookie_length} octets")
        return None


class ChronyServer:
    """chronyd as a server of the system's time, with and without NTS; `-x` as ever."""

    def __init__(self, lab, root, name, address):
        self.address = address
        self.port = lab.free_port(address, socket.SOCK_DGRAM)
        self.ke_port = lab.free_port(address)
        os.mkdir(lab.path(name), 0o700)
        config = lab.write(f"{name}.conf", f"""\
local stratum 1
allow
bindaddress {address}
port {self.port}
ntsport {self.ke_port}
ntsserverkey {lab.path(name)}.key
ntsservercert {lab.path(name)}.fullchain.pem
ntsprocesses 0
cmdport 0
bindcmdaddress {lab.path(name, "chronyd.sock")}
pidfile {lab.path(name, "chronyd.pid")}
user root
""")
        self._lab, self._name = lab, name
        self._argv = [os.path.join(root, "usr/sbin/chronyd"), "-x", "-d", "-f", config]
        self.start()

    def start(self):
        """Starts it, without what it knew before."""
        self.process = self._lab.start(self._name, self._argv)
        self._lab.wait_for_tcp(self.address, self.ke_port, self.process)


# --- ntpsec -------------------------------------------------------------------------------------

class Ntpsec:
    """NTPsec's ntpd as a user; `disable ntp` and no right to set the clock."""

    def __init__(self, lab, root, noclock, name, address, ke_port=None):
        """Without `ke_port` plain NTP, always of port 123: NTPsec knows no other. It takes no
        loopback address for a plain server, but a name that has one, from a hosts file that only it
        sees."""
        how, hosts = f"{address}:{ke_port} nts ca {lab.path('ca.pem')}", []
        if not ke_port:
            how = "plain.test"
            hosts = ["unshare", "--mount", "sh", "-c",
                     'mount --bind "$0" /etc/hosts && exec "$@"',
                     lab.write(f"{name}.hosts", f"{address} {how} {how}.\n")]
        os.mkdir(lab.path(name), 0o700)
        self._stats = lab.path(name)
        config = lab.write(f"{name}.conf", f"""\
disable ntp
disable kernel
interface ignore wildcard
interface listen 127.0.0.1
statsdir {lab.path(name)}/
statistics peerstats
filegen peerstats file peerstats type none enable
server {how} iburst minpoll 3
""")
        self.process = lab.start(
            name,
            [*hosts, os.path.join(root, "usr/sbin/ntpd"), "-n", "-d", "-c", config,
             "-p", lab.path(name, "ntpd.pid"), "-f", lab.path(name, "drift")],
            {"LD_PRELOAD": noclock})

    def authenticated(self):
        """The cookies it got and the last sample of an authenticated, reachable peer, else None."""
        cookies = re.search(r"NTSc: Got (\d+) cookies, length (\d+), aead=(\d+)",
                            self.process.log_text())
        if not cookies or int(cookies[1]) == 0:
            return None
        authentic = 0x2000
        sample = self._sample(authentic)
        return sample and (f"{sample}, NTS algorithm {cookies[3]}, {cookies[1]} cookies of "
                           f"{cookies[2]} octets")

    def answered(self):
        """The last sample of a reachable peer, else None."""
        return self._sample(0)

    def _sample(self, flags):
        try:
            with open(os.path.join(self._stats, "peerstats"), encoding="ascii") as f:
                rows = [line.split() for line in f]
        except FileNotFoundError:
            return None
        configured, reachable = 0x8000, 0x1000
        flags |= configured | reachable
        # peerstats: day, second, address, status, offset, delay, dispersion, jitter
        for row in reversed(rows):
            if int(row[3], 16) & flags == flags:
                return f"source {row[2]} offset {row[4]} s delay {row[5]} s"
        return None


# --- HAProxy ------------------------------------------------------------------------------------

class Haproxy:
    """HAProxy before a pool: it forwards TCP and tells users' addresses (`send-proxy-v2`)."""

    def __init__(self, lab, root, pool_port):
        self.port = lab.free_port("127.0.0.1")
        self._admin = lab.path("haproxy.sock")
        # It connects from an address of its own, and checks the pool's life with a header too.
        config = lab.write("haproxy.cfg", f"""\
global
    stats socket {self._admin} level operator
defaults
    mode tcp
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    unique-id-format interop-%ci-%cp
frontend users
    bind 127.0.0.1:{self.port}
    default_backend pool
backend pool
    source 127.0.0.9
    server pool 127.0.0.1:{pool_port} send-proxy-v2 proxy-v2-options unique-id check check-send-proxy inter 200ms
""")
        self.process = lab.start(
            "haproxy", [os.path.join(root, "usr/sbin/haproxy"), "-db", "-f", config])
        lab.wait_for_tcp("127.0.0.1", self.port, self.process)

    def checks_pass(self):
        """What HAProxy says of the pool while its health checks pass, else None."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(2)
            s.connect(self._admin)
            s.sendall(b"show stat\n")
            table = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        for row in csv.DictReader(table.lstrip("# ").splitlines()):
            if (row["pxname"], row["svname"]) == ("pool", "pool") and row["status"] == "UP":
                # Up from the beginning on, so only a finished check tells something.
                return f"{row['check_status']}" if row["check_status"] == "L4OK" else None
        return None


# --- ntp-daemon, ours and ntpd-rs's -------------------------------------------------------------

def observation(path):
    """The state of an ntp-daemon from its observation socket, None while there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(path)
            data = b"".join(iter(lambda: s.recv(65536), b""))
        return json.loads(data[8:8 + struct.unpack(">Q", data[:8])[0]])
    except (OSError, ValueError, struct.error):
        return None


# --- ntpd-rs ------------------------------------------------------------------------------------

class NtpdRs:
    """ntpd-rs wants to set the clock, so it gets neither the right nor the real calls."""

    def __init__(self, lab, programs, noclock, name, config, strace=None):
        self._observe = lab.path(f"{name}.sock")
        exporter = lab.free_port("127.0.0.1")
        path = lab.write(f"{name}.toml", config + f"""
[observability]
log-level = "info"
observation-path = "{self._observe}"
metrics-exporter-listen = "127.0.0.1:{exporter}"
""")
        argv = [os.path.join(programs, "ntp-daemon"), "-c", path]
        self.process = lab.start(name, [*(strace or []), *argv], {"LD_PRELOAD": noclock})

    def state(self):
        """The daemon's state from its observation socket, None while there is none."""
        return observation(self._observe)

    def answered(self):
        """What it says of a source that answered and whose offset is known, else None."""
        for s in (self.state() or {}).get("sources", []):
            if s["unanswered_polls"] == 0 and s["delay"] > 0:
                return f"source {s['address']} offset {s['offset']:.9f} s delay {s['delay']:.6f} s"
        return None

    def authenticated(self, at_least=1):
        """What it says of its authenticated sources with a known offset, None while too few."""
        sources = [s for s in (self.state() or {}).get("sources", [])
                   if s.get("nts_cookies") and s["unanswered_polls"] == 0 and s["delay"] > 0]
        if len({s["address"] for s in sources}) < at_least:
            return None
        return "; ".join(
            f"source {s['address']} offset {s['offset']:.9f} s delay {s['delay']:.6f} s, "
            f"{s['nts_cookies']} cookies" for s in sources)
