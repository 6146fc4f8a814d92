// Other wallets' own code, run by test_node.py: JSON on standard input, what it says on standard output.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { joinQRs, splitQRs } from "bbqr";

const require = createRequire(import.meta.url);
const caravan = require("@caravan/bitcoin");
const { PsbtV2, autoLoadPSBT, validateMultisigPsbtSignature } = require("@caravan/psbt");
const { UR, UREncoder, URDecoder } = require("@ngraveio/bc-ur");

const hex = (bytes) => Buffer.from(bytes).toString("hex");

const judges = {
  // A Caravan configuration's addresses, as its wallet page derives them.
  caravan({ config, count }) {
    const { addressType, network, quorum, extendedPublicKeys } = JSON.parse(config);
    const braid = (index) => ({
      addressType,
      network,
      extendedPublicKeys: extendedPublicKeys.map((key) => ({ base58String: key.xpub })),
      requiredSigners: quorum.requiredSigners,
      index,
    });
    const addresses = (keychain) =>
      Array.from({ length: count }, (_, index) =>
        caravan.multisigAddress(caravan.deriveMultisigByIndex(braid(keychain), index)),
      );
    return { receive: addresses("0"), change: addresses("1") };
  },
  // A PSBT of version 2: read and written, turned into version 0 and back, combined with others;
  // and of each signature in one of version 0 the key that it finds.
  psbt({ psbt, others, signed, amounts }) {
    const read = new PsbtV2(psbt);
    const written = read.serialize();
    const zero = read.toV0();
    const again = PsbtV2.FromV0(zero, true).serialize();
    read.combine(others.map((other) => new PsbtV2(other)));
    const keys = autoLoadPSBT(signed).data.inputs.map((input, index) =>
      input.partialSig.map(({ signature }) =>
        validateMultisigPsbtSignature(signed, index, signature, amounts[index]),
      ),
    );
    return { written, zero, again, combined: read.serialize(), keys };
  },
  // The codes of a UR message: put together, and split anew, fountain codes among them.
  ur({ parts, size, more }) {
    const decoder = new URDecoder();
    for (const part of parts) {
      decoder.receivePart(part);
    }
    if (!decoder.isSuccess()) {
      throw new Error(decoder.resultError() || "the parts are not enough");
    }
    const found = decoder.resultUR();
    const encoder = new UREncoder(new UR(found.cbor, found.type), size);
    const count = encoder.fragmentsLength + more;
    const written = Array.from({ length: count }, () => encoder.nextPart());
    return { type: found.type, cbor: hex(found.cbor), parts: written };
  },
  // The codes of a BBqr: put together, and split anew.
  bbqr({ parts, encoding, version }) {
    const { fileType, raw } = joinQRs(parts);
    const split = splitQRs(raw, fileType, { encoding, minVersion: version, maxVersion: version });
    return { type: fileType, data: hex(raw), parts: split.parts };
  },
};

const asked = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(judges[asked.judge](asked)));
