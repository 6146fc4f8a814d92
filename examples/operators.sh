#!/bin/sh
# Three people, three computers, one PostgreSQL database: they compare their keys, sign one payment while a line is cut
# in the middle, refuse what the administrator of the server changes, and sign another payment by file where there is
# no line at all. On emulated cards.
# Run it with: DATABASE=postgresql+psycopg://you@localhost/empty sh examples/operators.sh   (an empty database of yours;
# the account has to be a superuser for the attacks: they go past every trigger)
set -eu
folder=$(mktemp -d)
line=
trap '[ -z "$line" ] || kill "$line" 2>/dev/null; rm -rf "$folder"' EXIT

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
title() { printf '\n== %s ==\n' "$*"; }
at() { # at anna ...: on anna's computer
    who=$1
    shift
    CARDQUORUM_HOME=$folder/$who cardquorum "$@"
}
refused() { # refused anna ...: the command is refused (exit status 5), and says why
    if said=$(at "$@" 2>&1); then
        echo "not refused: $*"
        exit 1
    elif [ $? = 5 ]; then
        echo "refused: $said"
    else
        echo "$said"
        exit 1
    fi
}

# Ben reaches the database by a line of his own. It ends for good where the file "cut" is and a signature goes through it.
cat > "$folder/line.py" <<'EOF'
"""A line to the database: host, port and folder are given; the port it listens on is printed."""
import pathlib, socket, sys, threading
host, port, folder = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
def carry(one, other, watched):
    try:
        while data := one.recv(65536):
            if watched and (folder / "cut").exists() and b"INSERT INTO signature" in data:
                (folder / "cut").unlink()
                (folder / "down").touch()
            if (folder / "down").exists():
                break
            other.sendall(data)
    except OSError:
        pass
    for each in (one, other):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
listening = socket.create_server(("127.0.0.1", 0))
(folder / "port").write_text(str(listening.getsockname()[1]))
while True:
    client, _ = listening.accept()
    if (folder / "down").exists():
        client.close()
        continue
    server = socket.create_connection((host, port))
    for pair in ((client, server, True), (server, client, False)):
        threading.Thread(target=carry, args=pair, daemon=True).start()
EOF
host=$(python3 -c 'import sys; from urllib.parse import urlsplit as u; print(u(sys.argv[1]).hostname)' "$DATABASE")
port=$(python3 -c 'import sys; from urllib.parse import urlsplit as u; print(u(sys.argv[1]).port or 5432)' "$DATABASE")
python3 "$folder/line.py" "$host" "$port" "$folder" &
line=$!
while [ ! -s "$folder/port" ]; do sleep 0.1; done
by_line=$(echo "$DATABASE" | sed "s/@[^/]*\//@127.0.0.1:$(cat "$folder/port")\//")

# What the administrator runs: past every trigger.
administrator() {
    python3 - "$DATABASE" "$1" <<'EOF'
import sys, psycopg
with psycopg.connect(sys.argv[1].replace("+psycopg", ""), autocommit=True) as server:
    server.execute("SET session_replication_role = replica")
    server.execute(sys.argv[2])
EOF
}

title "three homes remember in one database; each has its own name, key and card"
at anna init --network regtest --database "$DATABASE"
at ben init --network regtest --chain none: --database "$by_line"
at dora init --network regtest --chain none: --database "$DATABASE"
for person in anna ben dora; do
    at $person operator name $person
    at $person emulate new satochip $person
    echo "$person=123456" | at $person card enrol $person --emulated $person --pin-stdin
done

title "they tell each other their keys, and approve them, each on their own computer"
for person in anna ben dora; do
    for other in anna ben dora; do
        [ $person = $other ] && continue
        key=$(at $other operator show --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["operator"]["key"])')
        at $person operator approve $other --key "$key"
    done
done
at dora operator list

title "a vault of all three cards; ben and dora compare its checksum with the paper"
at anna vault create savings --threshold 3 --card anna --card ben --card dora
checksum=$(at anna vault show savings --json | field checksum)
at ben vault approve savings --checksum "$checksum"
at dora vault approve savings --checksum "$checksum"
for person in anna ben dora; do
    echo "$person=123456" | at $person vault verify savings --emulated $person --pin-stdin
done
at anna location add safe
at anna copy add savings paper --location safe
at anna regtest fund "$(at anna address new savings --json | field address)" 0.5btc --coins 2
at anna regtest mine
at ben balance

title "anna proposes a payment and signs; ben reviews it and signs, and his line is cut in the middle"
to=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080
id=$(at anna spend create savings --to "$to:0.1btc" --feerate 5 --json | field ceremony)
txid=$(at anna spend show "$id" --json | field txid)
echo anna=123456 | at anna spend sign "$id" --emulated anna --pin-stdin --yes
refused ben spend sign "$id" --emulated ben --yes
touch "$folder/cut"
echo ben=123456 | at ben spend sign "$id" --emulated ben --pin-stdin --yes --txid "$txid" || [ $? = 5 ]
at dora spend show "$id"

title "the line is back: what his card signed is delivered, once"
rm -f "$folder/down"
at ben status
at dora spend show "$id"

title "the administrator changes rows; whoever meets them refuses"
administrator "UPDATE statement SET operator = 'eve' WHERE act = 'opened' AND subject = '$id'"
refused dora spend sign "$id" --emulated dora --yes --txid "$txid"
refused anna custody verify
administrator "UPDATE statement SET operator = 'anna' WHERE act = 'opened' AND subject = '$id'"
administrator "UPDATE vault SET threshold = 1"
refused dora spend sign "$id" --emulated dora --yes --txid "$txid"
administrator "UPDATE vault SET threshold = 3"
administrator "UPDATE ceremony SET created_at = created_at - interval '1 day' WHERE public_id = '$id'"
refused dora spend sign "$id" --emulated dora --yes --txid "$txid"
administrator "UPDATE ceremony SET created_at = created_at + interval '1 day' WHERE public_id = '$id'"
administrator "UPDATE custody_event SET happened_at = happened_at - interval '1 day' WHERE id = 1"
refused ben custody verify
administrator "UPDATE custody_event SET happened_at = happened_at + interval '1 day' WHERE id = 1"
administrator "UPDATE statement SET id = -id WHERE id = (SELECT max(id) FROM statement)"
refused anna status
administrator "UPDATE statement SET id = -id WHERE id < 0"
at anna custody verify

title "dora reviews it and signs; the payment is sent"
echo dora=123456 | at dora spend sign "$id" --emulated dora --pin-stdin --yes --txid "$txid"
at dora spend finalize "$id"
at anna spend broadcast "$id"
at anna regtest mine
at ben spend show "$id"

title "dora travels: a home with a file, no line; payment and signature go to and fro by file"
second=$(at anna spend create savings --to "$to:0.1btc" --feerate 5 --json | field ceremony)
txid=$(at anna spend show "$second" --json | field txid)
echo anna=123456 | at anna spend sign "$second" --emulated anna --pin-stdin --yes
echo ben=123456 | at ben spend sign "$second" --emulated ben --pin-stdin --yes --txid "$txid"
at anna vault export savings > "$folder/savings.txt"
at anna spend export "$second" --out "$folder/payment.psbt"
at away init --network regtest --chain none:
mkdir -p "$folder/away/emulated"
mv "$folder/dora/emulated/dora.card" "$folder/away/emulated/"
at away vault import "$folder/savings.txt" --name savings --checksum "$checksum"
echo dora=123456 | at away card enrol dora --emulated dora --pin-stdin
there=$(at away spend import savings "$folder/payment.psbt" --json | field ceremony)
echo dora=123456 | at away spend sign "$there" --emulated dora --pin-stdin --yes
at away spend export "$there" --out "$folder/signed.psbt"
at anna spend add "$second" "$folder/signed.psbt"
at anna spend finalize "$second"
at anna spend broadcast "$second"
at anna regtest mine
at anna custody verify
at ben spend list
at ben spend show "$second" --json | field txid
