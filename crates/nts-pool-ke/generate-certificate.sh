#!/bin/sh
# Make a key and a certificate signed by the CA of generate-ca.sh. It serves TLS servers and TLS
# clients alike, so that a pool can show it to its users and to its time sources.
# Needs nothing but openssl. Never overwrites a file.
set -eu
unset CDPATH

usage() {
    cat <<'USAGE'
usage: generate-certificate.sh [--rsa] [--days N] [--dir DIR] [--out BASE] NAME...

  NAME        DNS name or IP address that the certificate is for; several are fine
  --rsa       RSA 3072 instead of ECDSA P-256
  --days N    validity in days (default 365)
  --dir DIR   where ca.key and ca.pem are and the files go (default: the current directory)
  --out BASE  base name of the files (default: end)

Writes BASE.key (secret, 0600), BASE.pem (the certificate alone) and BASE.fullchain.pem.
USAGE
}

die() { echo "generate-certificate.sh: $*" >&2; exit 1; }

# Prints the subjectAltName entry for a DNS name or an IP address.
alternative_name() {
    case $1 in
        *:*)
            case $1 in *[!0-9a-fA-F:.]*) die "no IPv6 address: $1" ;; esac
            echo "IP:$1" ;;
        *[!0-9.]*)
            printf '%s\n' "$1" | grep -Eq \
                '^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$' \
                || die "no DNS name: $1"
            echo "DNS:$1" ;;
        *)
            printf '%s.\n' "$1" | grep -Eq '^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){4}$' \
                || die "no IPv4 address: $1"
            echo "IP:$1" ;;
    esac
}

days=365
dir=.
base=end
algorithm='EC -pkeyopt ec_paramgen_curve:P-256'
names=
first=
while [ $# -gt 0 ]; do
    case $1 in
        --rsa) algorithm='RSA -pkeyopt rsa_keygen_bits:3072' ;;
        --days) [ $# -ge 2 ] || die "--days needs a number"; days=$2; shift ;;
        --dir) [ $# -ge 2 ] || die "--dir needs a directory"; dir=$2; shift ;;
        --out) [ $# -ge 2 ] || die "--out needs a name"; base=$2; shift ;;
        -h|--help) usage; exit 0 ;;
        -*) usage >&2; exit 2 ;;
        *) name=$(alternative_name "$1"); names="${names:+$names, }$name"; : "${first:=$1}" ;;
    esac
    shift
done
[ -n "$names" ] || { usage >&2; exit 2; }
case $days in ''|0*|*[!0-9]*) die "--days must be a positive number, not '$days'" ;; esac
case $base in ''|*/*|.*) die "--out must be a plain file name, not '$base'" ;; esac
[ "$base" != ca ] || die "--out ca would overwrite the CA"
[ -d "$dir" ] || die "no such directory: $dir"
cd "$dir"
command -v openssl >/dev/null || die "openssl is not installed"
for file in ca.key ca.pem; do
    [ -r "$file" ] || die "cannot read $dir/$file: run generate-ca.sh first"
done
for file in "$base.key" "$base.pem" "$base.fullchain.pem"; do
    [ ! -e "$file" ] || die "$dir/$file exists: remove it yourself if it is no longer needed"
done

# Everything is made in a private directory and moved into place when it is complete.
umask 077
work=$(mktemp -d ./.generate-certificate.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# A common name has room for 64 characters only; clients look at the alternative names.
cat > "$work/end.cnf" <<CONFIG
[req]
distinguished_name = name
prompt = no
[name]
CN = $(printf '%.64s' "$first")
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = $names
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CONFIG

# $algorithm is several words on purpose.
# shellcheck disable=SC2086
openssl genpkey -algorithm $algorithm -out "$work/end.key" 2> "$work/log" ||
    { cat "$work/log" >&2; die "openssl could not make the key"; }
openssl req -new -sha256 -config "$work/end.cnf" -key "$work/end.key" -out "$work/end.csr" \
    2> "$work/log" || { cat "$work/log" >&2; die "openssl could not make the request"; }
openssl x509 -req -sha256 -in "$work/end.csr" -CA ca.pem -CAkey ca.key -days "$days" \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/end.cnf" -extensions extensions \
    -out "$work/end.pem" 2> "$work/log" ||
    { cat "$work/log" >&2; die "openssl could not sign the certificate"; }
cat "$work/end.pem" ca.pem > "$work/end.fullchain.pem"

chmod 644 "$work/end.pem" "$work/end.fullchain.pem"
for suffix in key pem fullchain.pem; do
    mv "$work/end.$suffix" "$base.$suffix"
done
echo "made $dir/$base.key, $base.pem and $base.fullchain.pem for $names, valid for $days days"
