#!/usr/bin/env bash
# An S3 service for tests: one Ceph monitor, one OSD and one object gateway, on the loopback interface only.
#
#   ceph-rgw.sh start DIR    start what does not run; S3 answers on return. What was stored in DIR before is there again
#   ceph-rgw.sh stop DIR     end the three processes; the data stays
#   ceph-rgw.sh status DIR   exit status 0 when S3 answers
#   ceph-rgw.sh env DIR      the endpoint and the credentials, as NAME=VALUE lines
#
# Everything lies in DIR, which must not be on a path with spaces. The programs come from deploy/prerequisites.sh.
set -euo pipefail
unset CEPH_ARGS CEPH_CONF CEPH_KEYRING

DEADLINE=60 # seconds that a step may take
ACCESS_KEY=SLUICETEST
SECRET_KEY=sluice-test-secret
DAEMONS=(rgw osd mon) # in the order of their end

fail() {
  echo "ceph-rgw: $1" >&2
  [ $# -lt 2 ] || tail -n 10 "$DIR/log/$2" >&2 || true
  exit 1
}

# A process is ours when its command line names our configuration: a number in an old file may be another's by now.
running() {
  local pid
  pid=$(cat "$DIR/$1.pid" 2>/dev/null) || return 1
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$DIR/ceph.conf"
}

launch() { # NAME PROGRAM ARGUMENTS...
  local name=$1 program=$2
  shift 2
  setsid "$program" -c "$DIR/ceph.conf" -f "$@" </dev/null >"$DIR/log/$name" 2>&1 9>&- &
  echo $! >"$DIR/$name.pid"
}

end() {
  running "$1" || return 0
  local pid i
  pid=$(cat "$DIR/$1.pid")
  kill "$pid" 2>/dev/null || true
  for ((i = 0; i < 100; i++)); do
    running "$1" || return 0
    sleep 0.05
  done
  kill -KILL "$pid" 2>/dev/null || true
}

taken() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() { # below the range from which the kernel gives ports to clients
  local port
  for _ in {1..100}; do
    port=$((15000 + RANDOM % 15000))
    taken "$port" || { echo "$port"; return; }
  done
  fail 'found no free port'
}

# Whether there is such a bucket is for the OSD to say: with this answer the whole chain works.
answers() {
  curl -s -m 3 "http://127.0.0.1:$RGW_PORT/no-such-bucket-$RANDOM" | grep -q NoSuchBucket
}

write_configuration() {
  cat >"$DIR/ceph.conf" <<END
[global]
fsid = $FSID
mon host = [v2:127.0.0.1:$MON_PORT]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
; nobody else reaches it, so there are no keys; without keys the gateway's encrypted way to the monitor cannot work
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
keyring = $DIR/none
run dir = $DIR
crash dir = $DIR/crash
admin socket =
log file = $DIR/log/\$name.log
mon cluster log file = $DIR/log/cluster.log
debug rocksdb = 0/0
; one copy, one placement group
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
rgw rados pool pg num min = 1
; notices at once that the OSD came
objecter tick interval = 0.2
[mon]
mon data = $DIR/mon
; the monitor would end itself on a disk that is nearly full
mon data avail crit = 0
paxos propose interval = 0.05
paxos min wait = 0.01
[osd]
osd data = $DIR/osd
osd uuid = $OSD
bluestore block size = $((8 << 30))
bluestore fsck on mkfs = false
bluestore cache autotune = false
bluestore cache size = $((64 << 20))
bdev aio poll ms = 25
[client.rgw]
; without nodelay each small request waits 40 ms
rgw frontends = beast endpoint=127.0.0.1:$RGW_PORT tcp_nodelay=1
rgw data = $DIR/rgw
rgw thread pool size = 64
rgw override bucket index max shards = 1
rgw dynamic resharding = false
END
}

pools() {
  echo "osd new $OSD"
  for pool in .rgw.root default.rgw.{log,control,meta,buckets.index,buckets.data,buckets.non-ec}; do
    echo "osd pool create $pool 1 1"
    echo "osd pool application enable $pool rgw"
  done
}

make() {
  rm -rf "$DIR"/{mon,osd,rgw}
  mkdir -p "$DIR"/{mon,osd,rgw}
  {
    monmaptool --create --clobber --fsid "$FSID" --addv a "[v2:127.0.0.1:$MON_PORT]" "$DIR/monmap"
    ceph-mon -c "$DIR/ceph.conf" -i a --mkfs --monmap "$DIR/monmap"
    ceph-osd -c "$DIR/ceph.conf" -i 0 --mkfs --no-mon-config
  } >"$DIR/log/make" 2>&1 9>&- || fail 'the monitor or the OSD could not be made' make
  launch mon ceph-mon -i a
  pools | timeout $DEADLINE ceph -c "$DIR/ceph.conf" >>"$DIR/log/make" 2>&1 9>&- || fail 'the pools could not be made' make
  launch osd ceph-osd -i 0
  timeout $DEADLINE radosgw-admin -c "$DIR/ceph.conf" -n client.rgw user create --uid=test --display-name=test \
    --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY" >>"$DIR/log/make" 2>&1 9>&- || fail 'the user could not be made' make
  touch "$DIR/made"
}

start() {
  mkdir -p "$DIR/log" "$DIR/crash"
  exec 9>"$DIR/lock"
  flock 9
  # Whatever fails from here on leaves nothing running.
  trap 'for name in "${DAEMONS[@]}"; do end "$name"; done' EXIT
  trap 'exit 1' INT TERM HUP
  if [ -e "$DIR/made" ]; then
    # shellcheck source=/dev/null
    . "$DIR/ports"
    running mon || launch mon ceph-mon -i a
    running osd || launch osd ceph-osd -i 0
  else
    for name in "${DAEMONS[@]}"; do end "$name"; done
    MON_PORT=$(free_port)
    RGW_PORT=$(free_port)
    printf 'MON_PORT=%s\nRGW_PORT=%s\n' "$MON_PORT" "$RGW_PORT" >"$DIR/ports"
    FSID=$(cat /proc/sys/kernel/random/uuid)
    OSD=$(cat /proc/sys/kernel/random/uuid)
    write_configuration
    make
  fi
  running rgw || launch rgw radosgw -n client.rgw
  local until=$((SECONDS + DEADLINE))
  until answers; do
    for name in "${DAEMONS[@]}"; do running "$name" || fail "$name ended" "$name"; done
    [ $SECONDS -lt $until ] || fail "S3 gives no answer within $DEADLINE s" rgw
    sleep 0.05
  done
  trap - EXIT
}

[ $# -eq 2 ] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 2; }
DIR=$(realpath -m -- "$2")
case $1 in
  start) start ;;
  stop) for name in "${DAEMONS[@]}"; do end "$name"; done ;;
  status | env)
    [ -e "$DIR/made" ] || fail "nothing was started in $DIR"
    # shellcheck source=/dev/null
    . "$DIR/ports"
    if [ "$1" = status ]; then answers; else
      printf '%s=%s\n' S3_ENDPOINT "http://127.0.0.1:$RGW_PORT" AWS_ACCESS_KEY_ID "$ACCESS_KEY" AWS_SECRET_ACCESS_KEY "$SECRET_KEY"
    fi
    ;;
  *) fail "no command $1" ;;
esac
