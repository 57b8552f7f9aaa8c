#!/bin/sh
# restart.sh ROOT PORT NODE: ends the instance of a root and starts the one that `current` points at.
root=$1 port=$2 node=$3
if pid=$(cat "$root/api.pid" 2>/dev/null) && kill -TERM "$pid" 2>/dev/null; then
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
fi
cd "$root/current" || exit 1
PORT=$port setsid "$node" server.mjs >>"$root/api.log" 2>&1 </dev/null &
echo $! >"$root/api.pid"
