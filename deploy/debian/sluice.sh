#!/bin/sh
# Sluice under the Node that it brings, wherever the two lie together. The library path names nothing but what a minimal
# root lacks.
top=$(readlink -f "$0")
top=${top%/bin/sluice}/lib/sluice
LD_LIBRARY_PATH=$top/lib
export LD_LIBRARY_PATH
# What is freed goes back to the system: else the C library keeps it between what stays, and memory grows for hours.
export MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
# Daemons collect garbage regularly: memory that grows is then a leak (docs/adr/0011).
exec "$top/bin/node" --expose-gc "$top/node_modules/@sluice/cli/src/main.js" "$@"
