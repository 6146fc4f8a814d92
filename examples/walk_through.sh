#!/bin/sh
# The 2-of-3 vault of docs/by-hand.md, on emulated cards of three makers, as a script: PINs come on standard input.
# Run it with: sh examples/walk_through.sh   (it makes and removes a home of its own)
set -eu
CARDQUORUM_HOME=$(mktemp -d)/home
export CARDQUORUM_HOME
trap 'rm -rf "$(dirname "$CARDQUORUM_HOME")"' EXIT

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

cardquorum init --network regtest
cardquorum emulate new satochip blue
cardquorum emulate new tapsigner green
cardquorum emulate new keycard red
for card in blue green red; do
    echo "$card=123456" | cardquorum card enrol "$card" --emulated "$card" --pin-stdin
done
cardquorum location add bank --kind bank-vault
cardquorum location add marie --kind friend
cardquorum location add home --kind home
cardquorum custody record card:blue placed --at bank
cardquorum custody record card:green placed --at marie
cardquorum custody record card:red placed --at home
cardquorum secret add blue-pin --of blue --kind pin --written-at marie --written-at home
cardquorum secret add green-pin --of green --kind pin --written-at bank --written-at home
cardquorum secret add red-pin --of red --kind pin --written-at bank --written-at marie
cardquorum secret add blue-puk --of blue --kind puk --written-at home
cardquorum secret add red-puk --of red --kind puk --written-at bank

cardquorum vault create family --threshold 2 --card blue --card green --card red
printf 'blue=123456\ngreen=123456\nred=123456\n' | cardquorum vault verify family --pin-stdin
for place in bank marie home; do
    cardquorum kit family --out "$CARDQUORUM_HOME.kits/$place" --location "$place"
done
cardquorum vault export family
address=$(cardquorum address new family --json | field address)
cardquorum regtest fund "$address" 0.5btc --coins 3
cardquorum regtest mine
cardquorum balance

to=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080
id=$(cardquorum spend create family --to "$to:0.2btc" --feerate 5 --json | field ceremony)
echo blue=123456 | cardquorum spend sign "$id" --emulated blue --pin-stdin --yes
echo red=123456 | cardquorum spend sign "$id" --emulated red --pin-stdin --yes
cardquorum spend finalize "$id"
cardquorum spend broadcast "$id"
cardquorum regtest mine
cardquorum spend show "$id"
cardquorum audit family
