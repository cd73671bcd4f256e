#!/bin/sh
# Runs a command of this repository under the pinned Node: first the Debian packages, then a check that
# the Node in front is new enough, then the command. pnpm calls it; see "scripts" in package.json.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
PATH=$top/node_modules/.bin:$PATH:/usr/sbin:/sbin
export PATH
if ! sh deploy/prerequisites.sh; then
  [ -z "${CI:-}" ] || exit 1
  echo "run: going on without them; what needs them is skipped and counted" >&2
fi
version=$(node --version 2>/dev/null || echo none)
major=${version#v}
major=${major%%.*}
case $major in
  '' | *[!0-9]*) major=0 ;;
esac
if [ "$major" -lt 26 ]; then
  echo "run: found Node $version, need 26 or later." >&2
  echo "run: the pinned one comes with 'npx pnpm@12 install'; if it does not start, install libatomic1 (apt-get install libatomic1)." >&2
  exit 1
fi
# Types are stripped once, not by every process: 40 MiB less in each daemon, and it starts sooner.
NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$top/node_modules/.cache/node-compile}
export NODE_COMPILE_CACHE
exec "$@"
