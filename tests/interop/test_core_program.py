"""A real Bitcoin Core, where BITCOIND names its program: it builds a payment, we sign, it sends."""

import base64
import json
from pathlib import Path

import pytest

from coordinator.chain.core.rpc import call
from coordinator.interop import writing
from coordinator.interop.wallet_file import wallet_of
from psbt import codec
from psbt.policy import RECEIVE, format_descriptor, vault_script
from tests.contracts import real_node
from tests.program import asking
from tests.psbt.soft_vault import soft_vault
from tests.servers.chains import mature_chain

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OF_VERSION_0 = b"psbt\xff\x01\x00"
WALLET = "watching"


@pytest.mark.skipif(not real_node.PROGRAM, reason="left out: BITCOIND names no Bitcoin Core")
@pytest.mark.parametrize("script", ["wsh", "sh-wsh", "sh"])
def test_what_core_builds_is_signed_here_and_sent_by_core(tmp_path: Path, script: str) -> None:
    soft = soft_vault(2, 3, script)
    chain = mature_chain(tmp_path / "world")
    for index in range(2):
        chain.fund(vault_script(soft.policy, RECEIVE, index).script_pubkey, 400_000)
    chain.mine(1)
    watched = wallet_of(soft.policy, "family", ("a", "b", "c"))
    descriptors = json.loads(writing.write(watched, soft.policy.network, "core")[0])
    home = asking(tmp_path / "home")
    home("init", "--network", "regtest", "--chain", "none:")
    (tmp_path / "vault.txt").write_text(format_descriptor(soft.policy))
    made = home("vault", "import", str(tmp_path / "vault.txt"), "--name", "v")
    home("vault", "approve", "v", "--checksum", made["checksum"])
    with real_node.running(chain, tmp_path / "bitcoind") as running:
        node = running.node
        call(node, "createwallet", WALLET, True, True)
        call(node, "importdescriptors", descriptors, wallet=WALLET)
        paid, how = [{STRANGER: 0.006}], {"fee_rate": 2}
        funded = call(node, "walletcreatefundedpsbt", [], paid, 0, how, wallet=WALLET)
        built = funded["psbt"].text(100_000)
        (tmp_path / "built.psbt").write_text(built)
        opened = home("spend", "import", "v", str(tmp_path / "built.psbt"))
        assert len(opened["review"]["inputs"]) == 2
        signed = soft.sign(soft.sign(codec.parse(opened["psbt"]), 2), 0)
        (tmp_path / "signed.psbt").write_text(codec.to_base64(signed))
        assert home("spend", "add", opened["ceremony"], str(tmp_path / "signed.psbt"))["complete"]
        version = "0" if base64.b64decode(built).startswith(OF_VERSION_0) else "2"
        words = ("spend", "export", opened["ceremony"], "--psbt-version", version)
        (back,) = home(*words)["parts"]
        final = call(node, "finalizepsbt", call(node, "combinepsbt", [built, back]).text(100_000))
        txid = call(node, "sendrawtransaction", final["hex"].text(100_000)).text(64)
        assert home("spend", "finalize", opened["ceremony"])["txid"] == txid
