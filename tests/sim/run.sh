#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the exporter against a simulated battery on a private bus, until Ctrl-C; all of it ends then.
# Arguments go to the exporter. CONTROL= names the simulator's control socket.
set -eu

build=$(cd "$(dirname "$0")/../.." && pwd)/build
directory=$(mktemp -d)
control=${CONTROL:-$directory/control}
bus=
sim=

finish() {
    trap - EXIT INT TERM
    [ -z "$sim" ] || kill "$sim" 2>/dev/null || :
    [ -z "$bus" ] || kill "$bus" 2>/dev/null || :
    rm -rf "$directory"
}
trap finish EXIT
# The exporter gets Ctrl-C itself and ends in order; this script goes on behind it to clean up.
trap : INT

# Away from the terminal's process group, so that Ctrl-C does not take the battery from the
# exporter while it disconnects.
mkfifo "$directory/address"
setsid dbus-daemon --session --nofork --print-address=3 3>"$directory/address" 2>/dev/null &
bus=$!
read -r DBUS_SYSTEM_BUS_ADDRESS <"$directory/address"
export DBUS_SYSTEM_BUS_ADDRESS

mkfifo "$directory/ready"
setsid "$build/bms-sim" --control="$control" --quiet >"$directory/ready" &
sim=$!
read -r _ <"$directory/ready"

cat <<END
A simulated battery. Look at  http://localhost:8000/
                    metrics:  http://localhost:8000/metrics
                    trouble:  $build/bms-sim --send=$control 'fault * silent'
                              (and 'clear *'; tests/sim/README.md has more)
                 a real one:  make run MAC=AA:BB:CC:DD:EE:FF
Ctrl-C ends it.
END
"$build/bms-exporter" "$@" A4:C1:38:00:00:01=simulated &
exporter=$!
trap 'kill "$exporter"' TERM
status=0
while kill -0 "$exporter" 2>/dev/null; do
    status=0
    wait "$exporter" || status=$?
done
exit "$status"
