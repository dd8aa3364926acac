"""What a lab needs before its daemons start: certificates, and a library against the clock."""

import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
CERTIFICATES = os.path.join(os.path.dirname(HERE), "crates", "nts-pool-ke")


def make_certificate(lab, base, address):
    subprocess.run(
        [os.path.join(CERTIFICATES, "generate-certificate.sh"), "--dir", lab.dir, "--out", base,
         address], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def make_authority(lab):
    subprocess.run([os.path.join(CERTIFICATES, "generate-ca.sh"), "--dir", lab.dir],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def build_noclock(lab):
    """Compiles the library that keeps a program away from the clock."""
    library = lab.path("noclock.so")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library,
                    os.path.join(HERE, "noclock.c")], check=True, stdin=subprocess.DEVNULL)
    return library
