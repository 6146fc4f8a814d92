#!/bin/sh
# A 2-of-3 vault of which two of three later cards can spend after ten blocks; in earnest it is a year, 52560.
# Run it with: sh examples/later_keys.sh   (it makes and removes a home of its own)
set -eu
CARDQUORUM_HOME=$(mktemp -d)/home
export CARDQUORUM_HOME
trap 'rm -rf "$(dirname "$CARDQUORUM_HOME")"' EXIT

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
pin() { printf '%s=123456\n' "$@"; }

cardquorum init --network regtest
for card in blue green red anna ben lawyer; do
    cardquorum emulate new satochip "$card"
    pin "$card" | cardquorum card enrol "$card" --emulated "$card" --pin-stdin
    cardquorum location add "at-$card" --kind other
    cardquorum custody record "card:$card" placed --at "at-$card"
done
cardquorum vault create family --threshold 2 --card blue --card green --card red \
    --recovery-after 10 --recovery-threshold 2 \
    --recovery-card anna --recovery-card ben --recovery-card lawyer
pin blue green red anna ben lawyer | cardquorum vault verify family --pin-stdin
for card in blue anna; do
    cardquorum kit family --out "$CARDQUORUM_HOME.kits/$card" --location "at-$card"
done
address=$(cardquorum address new family --json | field address)
cardquorum regtest fund "$address" 0.5btc --coins 2
cardquorum regtest mine

# The owner moves the coins to the vault itself: the wait starts anew.
cardquorum regtest mine 5
cardquorum status
id=$(cardquorum spend refresh family --feerate 1 --json | field ceremony)
pin blue red | cardquorum spend sign "$id" --emulated blue --emulated red --pin-stdin --yes
cardquorum spend finalize "$id"
cardquorum spend broadcast "$id"
cardquorum regtest mine
cardquorum coins family

# Silence. One block early the later cards are refused, then two of them take the coins.
to=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080
cardquorum regtest mine 8
if cardquorum spend recover family --to "$to" --feerate 1; then
    echo "spent too early" >&2
    exit 1
fi
cardquorum regtest mine
id=$(cardquorum spend recover family --to "$to" --feerate 1 --json | field ceremony)
pin anna lawyer | cardquorum spend sign "$id" --emulated anna --emulated lawyer --pin-stdin --yes
cardquorum spend finalize "$id"
cardquorum spend broadcast "$id"
cardquorum regtest mine
cardquorum spend show "$id"
