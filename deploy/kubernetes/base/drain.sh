#!/bin/bash
# Run before this Envoy gets SIGTERM, which would cut what it carries. No new connections come any more: it asks those that
# are there to go, with GOAWAY, and waits until no call is under way, or for as long as it is told.
#
#   drain.sh SECONDS [ADMIN_PORT]
set -euo pipefail
seconds=$1 port=${2:-9901}

admin() { # method, path; prints the answer, without a program that an image may lack
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" "$2" >&3
    cat <&3
    exec 3>&-
}

# Addresses of this pod disappear from the Service while it goes on as always.
sleep 5
admin POST '/drain_listeners?graceful&skip_exit' >/dev/null
while ((SECONDS < seconds)); do
    under_way=$(admin GET '/stats?filter=^http\.tls\.downstream_rq_active$' | sed -n 's/.*rq_active: \([0-9]*\).*/\1/p')
    # Twice in a row, so that a call that comes with its connection is seen.
    if ((${under_way:-0} == 0)); then
        ((idle = ${idle:-0} + 1))
        ((idle < 3)) || exit 0
    else
        idle=0
    fi
    sleep 1
done
