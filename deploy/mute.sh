#!/bin/sh
# Makes the diode interface of the isolated side mute: it offers no frame to the link, ever.
#
#   mute.sh IFACE [up]      rule first, then every source of frames is switched off; may be run again at any time
#   mute.sh IFACE status    what is in force, and how many frames were stopped; exit 1 unless the interface is mute
#   mute.sh IFACE down      lets the interface speak again, for maintenance
#
# Needs CAP_NET_ADMIN, nft and ip. The interface must exist; run it before the interface is up or has an address
# (the unit sluice-mute@IFACE.service does).
set -eu

usage() {
  echo "usage: mute.sh IFACE [up|status|down]" >&2
  exit 2
}

iface=${1:-}
action=${2:-up}
[ $# -le 2 ] || usage
case $iface in
  '' | *[!A-Za-z0-9_.-]*) usage ;;
esac
if ! ip link show dev "$iface" >/dev/null 2>&1; then
  echo "mute.sh: there is no interface $iface; see 'ip link' for those there are" >&2
  exit 1
fi
table=sluice-mute-$iface
# Marks what came in by the diode interface, so that an answer of the kernel to it can be told.
MARK=0x51e1d0de
ipv6=/proc/sys/net/ipv6/conf/$iface/disable_ipv6
reflect=/proc/sys/net/ipv4/fwmark_reflect

# "PACKETS BYTES" of the egress rule, nothing when it is not there.
stopped() {
  nft list chain netdev "$table" out 2>/dev/null | sed -n 's/.*counter packets \([0-9]*\) bytes \([0-9]*\).*/\1 \2/p'
}

# Frames answered to datagrams that nobody wanted, stopped before they reached the interface.
answers() {
  nft list chain inet "$table" out 2>/dev/null | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p' |
    { n=0; while read -r x; do n=$((n + x)); done; echo "$n"; }
}

# True when `ip` lists this flag of the interface.
flag() {
  case ",$(ip -o link show dev "$iface" | sed -n 's/.*<\([^>]*\)>.*/\1/p')," in
    *",$1,"*) return 0 ;;
  esac
  return 1
}

rules() {
  set -- $(stopped)
  # One transaction: there is no moment without the old rules or the new ones. The count is carried over.
  nft -f - <<EOF
add table netdev $table
delete table netdev $table
add table inet $table
delete table inet $table

table netdev $table {
  # The last gate before the driver, whatever made the frame: ARP, LLDP, IPv6, a bridge, a raw socket.
  chain out {
    type filter hook egress device "$iface" priority -500; policy drop;
    counter packets ${1:-0} bytes ${2:-0} drop
  }
}

table inet $table {
  # Nothing but UDP over IPv4 comes in: no echo request, TCP segment or IGMP query is there to be answered.
  chain in {
    type filter hook prerouting priority raw; policy accept;
    iifname "$iface" meta nfproto ipv6 drop
    iifname "$iface" meta l4proto != udp drop
    iifname "$iface" meta mark set $MARK
  }
  # The isolated host is no router between the diode and anything else.
  chain through {
    type filter hook forward priority filter; policy accept;
    iifname "$iface" drop
    oifname "$iface" drop
  }
  # ICMP errors about datagrams from the diode, by whatever interface they would leave, and all that is routed into it.
  chain out {
    type filter hook output priority raw; policy accept;
    meta mark $MARK meta l4proto { icmp, icmpv6 } counter drop
    oifname "$iface" counter drop
  }
}
EOF
}

up() {
  rules
  # ICMP errors carry the mark of the datagram that they are about; the rule above knows them by it.
  echo 1 >"$reflect"
  # Router solicitations, neighbour discovery, duplicate address detection and MLD end with IPv6 on this interface.
  [ ! -e "$ipv6" ] || echo 1 >"$ipv6"
  # No ARP request, reply or announcement: the far side has a static neighbour entry. No multicast: no IGMP report.
  ip link set dev "$iface" arp off multicast off
  echo "mute.sh: $iface is mute"
}

down() {
  ip link set dev "$iface" arp on multicast on
  [ ! -e "$ipv6" ] || echo 0 >"$ipv6"
  for family in inet netdev; do
    if nft list table "$family" "$table" >/dev/null 2>&1; then nft delete table "$family" "$table"; fi
  done
  echo "mute.sh: $iface may speak"
}

status() {
  mute=yes
  say() { # WHAT STATE, "ok" or a reason why it is not mute
    [ "$2" = ok ] || mute=no
    echo "$1: $2"
  }
  set -- $(stopped)
  if [ $# -eq 2 ]; then say 'egress rule' ok; else say 'egress rule' 'missing'; fi
  if nft list table inet "$table" >/dev/null 2>&1; then say 'input and output rules' ok; else say 'input and output rules' missing; fi
  if [ "$(cat "$reflect")" = 1 ]; then say 'marks on ICMP errors' ok; else say 'marks on ICMP errors' off; fi
  if [ ! -e "$ipv6" ] || [ "$(cat "$ipv6")" = 1 ]; then say 'no IPv6' ok; else say 'no IPv6' 'IPv6 is on'; fi
  if flag NOARP; then say 'no ARP' ok; else say 'no ARP' 'ARP is on'; fi
  if flag MULTICAST; then say 'no multicast' 'multicast is on'; else say 'no multicast' ok; fi
  echo "answers stopped before the interface: $(answers)"
  echo "frames stopped at the interface: ${1:-0}"
  echo "mute: $mute"
  [ "$mute" = yes ]
}

case $action in
  up | status | down) "$action" ;;
  *) usage ;;
esac
