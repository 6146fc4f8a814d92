#!/bin/sh
# The README's vault on readers: one process holds three emulated cards in virtual PC/SC readers, all other
# commands reach them through PC/SC as they would real cards. Needs Linux with pcscd and vsmartcard-vpcd.
# Run it with: sh examples/readers.sh   (it makes and removes a home of its own)
set -eu
CARDQUORUM_HOME=$(mktemp -d)/home
export CARDQUORUM_HOME
served=$CARDQUORUM_HOME.served
trap 'kill -INT $server 2>/dev/null || true; rm -rf "$(dirname "$CARDQUORUM_HOME")"' EXIT

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

cardquorum init --network regtest
cardquorum emulate new satochip blue
cardquorum emulate new tapsigner green
cardquorum emulate new keycard red
cardquorum emulate serve blue green red > "$served" &
server=$!
until grep -q PCSCLITE "$served"; do sleep 0.1; done
export "$(grep -o 'PCSCLITE.*' "$served")"
until [ "$(cardquorum reader list | grep -c 'unknown here')" = 3 ]; do sleep 0.1; done

for card in blue green red; do
    echo "$card=123456" | cardquorum card enrol "$card" --reader "$card" --pin-stdin
done
cardquorum reader list
cardquorum vault create family --threshold 2 --card blue --card green --card red
printf 'blue=123456\ngreen=123456\nred=123456\n' | cardquorum vault verify family --pin-stdin
address=$(cardquorum address new family --accept no_copy --json | field address)
cardquorum regtest fund "$address" 0.5btc --coins 3
cardquorum regtest mine

to=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:0.2btc
ceremony=$(cardquorum spend create family --to "$to" --feerate 5 --json | field ceremony)
printf 'blue=123456\nred=123456\n' | cardquorum spend sign "$ceremony" --pin-stdin --yes
cardquorum spend finalize "$ceremony"
cardquorum spend broadcast "$ceremony"
cardquorum regtest mine
cardquorum spend show "$ceremony"
