"""The options of payments: who is paid, from which coins, at what rate."""

from typing import Annotated

import typer

Payees = Annotated[
    list[str] | None, typer.Option("--to", help="who is paid what", metavar="ADDRESS:AMOUNT|URI")
]
Drain = Annotated[
    str | None, typer.Option("--drain", help="who gets all that is left", metavar="ADDRESS")
]
Table = Annotated[
    str | None, typer.Option("--csv", help="payments as address,amount[,label]", metavar="FILE")
]
Coins = Annotated[
    list[str] | None, typer.Option("--coin", help="spend this coin", metavar="OUTPOINT")
]
CoinsLabelled = Annotated[
    list[str] | None,
    typer.Option("--coins-labelled", help="spend only coins called this", metavar="TEXT"),
]
AvoidLabel = Annotated[
    list[str] | None,
    typer.Option("--avoid-label", help="spend no coin called this", metavar="TEXT"),
]
MinConfirmations = Annotated[
    int, typer.Option("--min-confirmations", min=0, help="spend only coins this deep")
]
FeerateTyped = Annotated[str | None, typer.Option("--feerate", help="sat/vB")]
Target = Annotated[
    int | None, typer.Option("--target", min=1, max=1008, help="confirm within BLOCKS")
]
Expires = Annotated[int, typer.Option("--expires", min=1, max=365, help="days the coins are held")]
