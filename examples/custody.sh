#!/bin/sh
# The custody of a 2-of-3 vault: what each mishap costs and what to do then, a drill over three visits, a card
# replaced, the kit printed, and the vault rebuilt from paper in an empty home. On emulated cards.
# Run it with: sh examples/custody.sh   (it makes and removes homes of its own)
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
CARDQUORUM_HOME=$folder/home
export CARDQUORUM_HOME

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
pins() { for card in "$@"; do echo "$card=123456"; done; }
title() { printf '\n== %s ==\n' "$*"; }
# What if: the same home, copied, with one thing gone wrong in it.
what_if() {
    title "$1"
    shift
    rm -rf "$folder/other"
    cp -r "$folder/home" "$folder/other"
    for command in "$@"; do
        CARDQUORUM_HOME=$folder/other sh -c "cardquorum $command" || [ $? = 5 ]
    done
    CARDQUORUM_HOME=$folder/other cardquorum audit savings || [ $? = 5 ]
}

title "three cards: in a bank vault, with a friend, at home; each PIN at another place than its card"
cardquorum init --network regtest
cardquorum holder add marie --contact "+33 1 23 45 67 89"
cardquorum location add bank --kind bank-vault --region lyon --lead-hours 24 --access "passport and key"
cardquorum location add friend --kind friend --region nantes --holder marie --lead-hours 4
cardquorum location add home --kind home --region paris
place() {
    cardquorum emulate new "$2" "$1"
    pins "$1" | cardquorum card enrol "$1" --emulated "$1" --pin-stdin
    cardquorum custody record "card:$1" sealed --seal "$4"
    cardquorum custody record "card:$1" placed --at "$3"
}
place blue satochip bank 4711
place green tapsigner friend 4712
place red keycard home 4713
written() { cardquorum secret add "$1-pin" --of "$1" --kind pin --written-at "$2" --written-at "$3"; }
written blue friend home
written green bank home
written red bank friend

title "the vault, proved by its cards; a kit at each place; three coins"
cardquorum vault create savings --threshold 2 --card blue --card green --card red
pins blue green red | cardquorum vault verify savings --pin-stdin
for place in bank friend home; do
    cardquorum kit savings --out "$folder/kits/$place" --location "$place"
done
cardquorum regtest fund "$(cardquorum address new savings --json | field address)" 0.5btc --coins 3
cardquorum regtest mine

title "a drill over three visits, the soonest first; no coin moves"
cardquorum drill plan savings
drill=$(cardquorum drill start savings --json | field drill)
for card in red green blue; do
    pins $card | cardquorum drill sign "$drill" --emulated $card --pin-stdin
done
cardquorum drill export "$drill" "$folder/drill.json"
cardquorum drill verify "$folder/drill.json"

title "before anything happens"
cardquorum audit savings --html "$folder/audit.html" || [ $? = 5 ]
cardquorum audit savings --lose home --steal card:green || [ $? = 5 ]

what_if "a card is lost" "card lost green --note 'moved house'"
what_if "the home burns down" "card destroyed red" "custody record copy:savings-kit-3 destroyed"
what_if "the friend cannot be trusted any more" "card stolen green --note 'does not give it back'"
what_if "two bags are found open" "custody record bag:4711 opened" "custody record bag:4712 opened"

title "the lost card is replaced: a new card, a vault without the lost key, all coins to it"
cardquorum card lost green
cardquorum replace plan savings --card green
place white tangem friend 4714
written white bank home
payment=$(cardquorum replace start savings --card green --with white --feerate 5 --json | field ceremony)
pins blue red white | cardquorum vault verify savings-2 --pin-stdin
pins blue red | cardquorum spend sign "$payment" --emulated blue --emulated red --pin-stdin --yes
cardquorum spend finalize "$payment"
cardquorum spend broadcast "$payment"
cardquorum regtest mine
for place in bank friend home; do
    cardquorum kit savings-2 --out "$folder/kits2/$place" --location "$place"
done
cardquorum replace done copy:savings-kit
cardquorum replace done copy:savings-kit-2
cardquorum replace done copy:savings-kit-3
cardquorum replace show savings
cardquorum audit savings-2
cardquorum custody verify

title "an empty home: the vault comes back from paper alone, and its cards prove it"
CARDQUORUM_HOME=$folder/empty
cardquorum init --network regtest
cp -r "$folder/home/emulated" "$folder/empty/"
cardquorum recover "$folder/kits2/bank/savings-2-descriptor.txt" --name savings
cardquorum vault approve savings --checksum "$(sed 's/.*#//' "$folder/kits2/bank/savings-2-descriptor.txt")"
for card in blue red; do
    pins $card | cardquorum card enrol $card --emulated $card --pin-stdin
done
drill=$(cardquorum drill start savings --json | field drill)
pins blue red | cardquorum drill sign "$drill" --emulated blue --emulated red --pin-stdin
cardquorum drill show "$drill"
echo "recovered"
