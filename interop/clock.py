"""ntp-daemon keeps a clock of its own (-x) by chrony, and chrony keeps one by ntp-daemon.

Both look at the same server, so what they report must agree within the bounds that they give
themselves. Then the server is made to vanish in several ways, and comes back.
"""

import os
import signal
import socket

import peers
from fixtures import make_certificate
from lab import Failure

# Offsets beyond this are no noise of a loaded machine but an error of somebody.
SANE = 0.01


class Daemon:
    """Our ntp-daemon with sources, and perhaps servers."""

    def __init__(self, lab, programs, name, config, options=("-x",), env=None):
        self._observe = lab.path(f"{name}.sock")
        path = lab.write(f"{name}.toml", config + f"""
[observability]
observation-path = "{self._observe}"
""")
        self.process = lab.start(
            name, [os.path.join(programs, "ntp-daemon"), *options, "-c", path], env)

    def state(self):
        """The document of the observation socket, {} while there is none."""
        return peers.observation(self._observe) or {}

    def sources(self, *states):
        """The sources in one of these states."""
        return [s for s in self.state().get("sources", []) if s["state"] in states]

    def synchronised(self, sources):
        """What it says when its clock is kept by so many sources, else None."""
        clock = (self.state().get("system") or {}).get("clock") or {}
        used = self.sources("best", "selected")
        if not clock.get("synchronized") or len(used) < sources:
            return None
        described = ", ".join(
            f"{s['address']} {'NTS ' if s['authenticated'] else ''}{s['offset']:+.9f} s "
            f"± {s['uncertainty']:.9f} s" for s in used)
        return f"offset {clock['offset']:+.9f} s; {described}"


def limits(more=""):
    return f"""\
poll-interval-limits = {{ min = 0, max = 0 }}
initial-poll-interval = 0
{more}
"""


def by_chrony(lab, programs, chrony, ntp_port, ke_port):
    """Our daemon, kept by chrony with and without NTS, serving both."""
    return Daemon(lab, programs, "daemon-by-chrony", f"""\
[[source]]
mode = "server"
address = "{chrony.address}:{chrony.port}"
{limits()}
[[source]]
mode = "nts"
address = "{chrony.address}:{chrony.ke_port}"
certificate-authority = "ca.pem"
{limits()}
[synchronization]
minimum-agreeing-sources = 2
cookie-storage-path = "{lab.path("daemon-cookies")}"

[[server]]
listen = "127.0.0.6:{ntp_port}"

[[nts-ke-server]]
listen = "127.0.0.6:{ke_port}"
certificate-chain-path = "daemon-by-chrony.fullchain.pem"
private-key-path = "daemon-by-chrony.key"
ntp-server = "127.0.0.6"
ntp-port = {ntp_port}
""")


def agreement(daemon, chrony, server):
    """What both report about the same server, if that agrees within both bounds."""
    def check():
        ours = [s for s in daemon.sources("best", "selected") if server.address in s["address"]]
        theirs = chrony.report(server.address)
        if not ours or not theirs:
            return None
        seen = min(ours, key=lambda s: s["uncertainty"])
        # chrony counts an offset as positive when the local clock is ahead.
        offset, error = -theirs["offset"], theirs["error"]
        difference = abs(seen["offset"] - offset)
        if difference > seen["uncertainty"] + error or abs(seen["offset"]) > SANE:
            return None
        return (f"ours {seen['offset']:+.9f} s ± {seen['uncertainty']:.9f} s, chrony's "
                f"{offset:+.9f} s ± {error:.9f} s")
    return check


def check(checks, lab, roots, programs, noclock):
    """All checks of this page."""
    for name, address in (("chrony-server", "127.0.0.5"), ("daemon-by-chrony", "127.0.0.6")):
        make_certificate(lab, name, address)
    server = peers.ChronyServer(lab, roots["chrony"], "chrony-server", "127.0.0.5")
    ntp_port = lab.free_port("127.0.0.6", socket.SOCK_DGRAM)
    ke_port = lab.free_port("127.0.0.6")
    daemon = by_chrony(lab, programs, server, ntp_port, ke_port)
    checks.holds("ntp-daemon by chrony, with and without NTS",
                 lambda: daemon.synchronised(2), 30, daemon.process)

    beside = peers.Chrony(lab, roots["chrony"], "chrony-beside", server.address, server.ke_port)
    checks.holds("ntp-daemon and chrony agree about the same server",
                 agreement(daemon, beside, server), 30, daemon.process)
    behind_chronys(checks, lab, roots, daemon, ntp_port, ke_port)
    vanishing(checks, lab, server, daemon)
    kernel_path(checks, lab, programs, noclock, server)


def behind_chronys(checks, lab, roots, daemon, ntp_port, ke_port):
    """chrony as a user of our daemon, which is a user itself: stratum and bounds go through."""
    users = {
        "with NTS": peers.Chrony(lab, roots["chrony"], "chrony-nts-by-daemon", "127.0.0.6", ke_port),
        "without NTS": peers.Chrony(
            lab, roots["chrony"], "chrony-by-daemon", "127.0.0.6", None, ntp_port),
    }
    for what, chrony in users.items():
        def follows(chrony=chrony):
            seen = chrony.tracking()
            ours = daemon.state().get("system", {})
            if not seen or seen["stratum"] != ours.get("stratum", 0) + 1:
                return None
            # Its bound holds ours, as the time comes from us.
            return seen["root_delay"] >= ours["root_delay"] / 2 and (
                f"stratum {seen['stratum']}, offset {seen['offset']:+.9f} s, root delay "
                f"{seen['root_delay']:.9f} s, root dispersion {seen['root_dispersion']:.9f} s")
        checks.holds(f"chrony by ntp-daemon {what}", follows, 30, chrony.process)
        lab.stop(chrony.process)


def vanishing(checks, lab, server, daemon):
    """The server falls silent, then is started again without its keys."""
    held = {source["id"] for source in daemon.sources("best", "selected")}
    os.killpg(server.process.popen.pid, signal.SIGSTOP)
    checks.holds("a silent server is found unreachable and given up",
                 lambda: not held & {s["id"] for s in daemon.state()["sources"]} and
                 "both sources are gone", 40, daemon.process)
    os.killpg(server.process.popen.pid, signal.SIGCONT)
    checks.holds("a server that speaks again is used again",
                 lambda: daemon.synchronised(2), 90, daemon.process)
    lab.stop(server.process)
    since = daemon.state()["program"]["now"]["timestamp"]
    server.start()
    checks.holds("a server that was started again without its keys is used again",
                 lambda: all(s["last_update"]["timestamp"] > since
                             for s in daemon.sources("best", "selected"))
                 and daemon.synchronised(2), 90, daemon.process)


def kernel_path(checks, lab, programs, noclock, server):
    """The daemon steers "the system's clock": a library that only pretends to be one."""
    log = lab.path("clock-calls-of-ours")
    daemon = Daemon(lab, programs, "daemon-steering", f"""\
[[source]]
mode = "server"
address = "{server.address}:{server.port}"
{limits()}
[synchronization]
minimum-agreeing-sources = 1
drift-file = "{lab.path("drift")}"
""", (), {"LD_PRELOAD": noclock, "NOCLOCK_LOG": log})
    checks.holds("ntp-daemon steers what it takes for the system's clock",
                 lambda: daemon.synchronised(1), 30, daemon.process)
    lab.stop(daemon.process)

    def in_order():
        with open(log, encoding="ascii") as f:
            calls = [line.split() for line in f]
        told = [call for call in calls if call[0] == "status"]
        steered = [call for call in calls if call[0] == "frequency"]
        if not told or told[-1][1] != "synchronised" or not steered:
            raise Failure(f"unexpected calls for the clock: {calls}")
        with open(lab.path("drift"), encoding="ascii") as f:
            drift = float(f.read())
        # What it leaves is its own frequency, without a slew, as the drift file has it.
        left = float(steered[-1][1])
        if abs(left - drift) > 0.02:
            raise Failure(f"it left {left} ppm, and {drift} ppm in the drift file")
        return f"{len(steered)} frequencies, the last {left:+.3f} ppm; told to be synchronised"
    checks.holds("and leaves it with its own frequency", in_order, 5, server.process)
