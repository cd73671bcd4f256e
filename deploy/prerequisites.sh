#!/bin/sh
# Installs the Debian packages that the tests and the demo use, libatomic1 first (the pinned Node needs it).
# Needs no Node. Says what it installs; installs nothing that is there already.
#
#   deploy/prerequisites.sh           install what is missing (root and apt needed)
#   deploy/prerequisites.sh --check   only name what is missing; exit 1 if anything is
set -eu

# program (or library) that must be there : Debian package that brings it
NEEDS="
lib:libatomic.so.1:libatomic1
ip:iproute2
nft:nftables
ethtool:ethtool
git:git
curl:curl
redis-server:redis-server
docker-registry:docker-registry
skopeo:skopeo
umoci:umoci
tshark:tshark
tcpdump:tcpdump
strace:strace
file:/bin/busybox:busybox-static
python3:python3
py:zfec:python3-zfec
lib:libnorm.so.1:libnorm1
iperf3:iperf3
udp-sender:udpcast
systemd-analyze:systemd
systemd-nspawn:systemd-container
mmdebstrap:mmdebstrap
promtool:prometheus
chromium:chromium
faketime:faketime
openssl:openssl
groff:groff-base
zsh:zsh
radosgw:radosgw
ceph-mon:ceph-mon
ceph-osd:ceph-osd
radosgw-admin:radosgw
ceph:ceph-common
"

missing() {
  for need in $NEEDS; do
    case $need in
      lib:*) rest=${need#lib:}; what=${rest%%:*}; ldconfig -p 2>/dev/null | grep -q "$what" || /sbin/ldconfig -p 2>/dev/null | grep -q "$what" || echo "${rest#*:}" ;;
      py:*) rest=${need#py:}; /usr/bin/python3 -c "import ${rest%%:*}" 2>/dev/null || echo "${rest#*:}" ;;
      file:*) rest=${need#file:}; [ -e "${rest%%:*}" ] || echo "${rest#*:}" ;;
      *) PATH=$PATH:/usr/sbin:/sbin command -v "${need%%:*}" >/dev/null 2>&1 || echo "${need#*:}" ;;
    esac
  done | awk '!seen[$0]++'
}

want=$(missing | tr '\n' ' ')
want=${want% }
if [ -z "$want" ]; then
  exit 0
fi
if [ "${1:-}" = --check ]; then
  echo "missing Debian packages: $want" >&2
  echo "get them with: apt-get install --no-install-recommends $want" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "prerequisites: these Debian packages are missing: $want" >&2
  echo "prerequisites: as root on Debian run: apt-get install --no-install-recommends $want" >&2
  exit 1
fi
echo "prerequisites: installing from Debian: $want" >&2
# RUNLEVEL=1 keeps the packages' own scripts from starting services.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
APT="apt-get -q -o DPkg::Lock::Timeout=300"
log=$(mktemp)
# shellcheck disable=SC2086
if { $APT install -y --no-install-recommends $want || { $APT update && $APT install -y --no-install-recommends $want; }; } </dev/null >"$log" 2>&1; then
  rm -f "$log"
else
  tail -n 20 "$log" >&2
  echo "prerequisites: apt-get could not install them; its whole output is in $log" >&2
  exit 1
fi
left=$(missing | tr '\n' ' ')
if [ -n "$left" ]; then
  echo "prerequisites: still missing after installation: $left" >&2
  exit 1
fi
