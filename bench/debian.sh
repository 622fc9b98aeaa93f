#!/bin/bash
# Runs a command of the project under Debian's newest Python, in a Debian sid in build/debian (about 1 GB).
#
#   bench/debian.sh ./scripts/bench.sh --quick
#   bench/debian.sh ./scripts/test.sh
#
# It sees the commits of this clone, not its changes. Needs root, which it uses for debootstrap and chroot.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 2; }
[ "$(id -u)" = 0 ] || { echo "debootstrap and chroot need root. Start this script with sudo." >&2; exit 1; }

root=$PWD/build/debian
if [ ! -x "$root/usr/bin/python3" ]; then
    command -v debootstrap >/dev/null || apt-get install -y -q debootstrap
    rm -rf "$root"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,curl,git,procps sid "$root"
    # A mirror may be some weeks old.
    echo 'Acquire::Check-Valid-Until "false";' > "$root/etc/apt/apt.conf.d/90mirror"
fi
# As on this machine, so that its registries are reached in the same way.
cp /etc/resolv.conf "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"

if [ -d "$root/gateway/.git" ]; then
    git push -q --force "$root/gateway" HEAD:refs/heads/measured
else
    git clone -q . "$root/gateway"
fi
git -C "$root/gateway" checkout -q --detach "$(git rev-parse HEAD)"

leave() { umount -l "$root/proc" "$root/dev"; }
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
trap leave EXIT
chroot "$root" env PIP_CERT=/etc/ssl/certs/ca-certificates.crt bash -c '
    cd /gateway
    . scripts/python.sh
    prepare requirements.txt requirements-dev.txt
    .venv/bin/python -c "import sys; print(\"CPython\", sys.version)"
    exec "$@"' - "$@"
