from embit.ec import PublicKey

class HDKey:
    key: PublicKey
    chain_code: bytes
    depth: int
    fingerprint: bytes
    child_number: int
    my_fingerprint: bytes
    @classmethod
    def from_seed(cls, seed: bytes) -> HDKey: ...
    def derive(self, path: list[int]) -> HDKey: ...
    def to_public(self) -> HDKey: ...
