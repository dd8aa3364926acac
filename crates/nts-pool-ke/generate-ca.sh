#!/bin/sh
# Make a private certificate authority: ca.key (secret, 0600) and ca.pem.
# Needs nothing but openssl. Never overwrites a file.
set -eu
unset CDPATH

usage() {
    cat <<'USAGE'
usage: generate-ca.sh [--rsa] [--days N] [--dir DIR]

  --rsa       RSA 3072 instead of ECDSA P-256
  --days N    validity in days (default 3650)
  --dir DIR   where the files go (default: the current directory)

Writes ca.key and ca.pem. Sign certificates with generate-certificate.sh.
USAGE
}

die() { echo "generate-ca.sh: $*" >&2; exit 1; }

days=3650
dir=.
algorithm='EC -pkeyopt ec_paramgen_curve:P-256'
while [ $# -gt 0 ]; do
    case $1 in
        --rsa) algorithm='RSA -pkeyopt rsa_keygen_bits:3072' ;;
        --days) [ $# -ge 2 ] || die "--days needs a number"; days=$2; shift ;;
        --dir) [ $# -ge 2 ] || die "--dir needs a directory"; dir=$2; shift ;;
        -h|--help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
case $days in ''|0*|*[!0-9]*) die "--days must be a positive number, not '$days'" ;; esac
[ -d "$dir" ] || die "no such directory: $dir"
cd "$dir"
command -v openssl >/dev/null || die "openssl is not installed"
for file in ca.key ca.pem; do
    [ ! -e "$file" ] || die "$dir/$file exists: remove it yourself if it is no longer needed"
done

# Everything is made in a private directory and moved into place when it is complete.
umask 077
work=$(mktemp -d ./.generate-ca.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

cat > "$work/ca.cnf" <<'CONFIG'
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = NTS pool private CA
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
CONFIG

# $algorithm is several words on purpose.
# shellcheck disable=SC2086
openssl genpkey -algorithm $algorithm -out "$work/ca.key" 2> "$work/log" ||
    { cat "$work/log" >&2; die "openssl could not make the key"; }
openssl req -new -x509 -sha256 -config "$work/ca.cnf" -key "$work/ca.key" -days "$days" \
    -set_serial "0x$(openssl rand -hex 16)" -out "$work/ca.pem" 2> "$work/log" ||
    { cat "$work/log" >&2; die "openssl could not make the certificate"; }

chmod 644 "$work/ca.pem"
mv "$work/ca.key" "$work/ca.pem" .
echo "made $dir/ca.key and $dir/ca.pem, valid for $days days"
