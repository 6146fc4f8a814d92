from embit.base import EmbitBase

class PublicKey(EmbitBase):
    def sec(self) -> bytes: ...
