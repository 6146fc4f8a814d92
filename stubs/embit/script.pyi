from embit.base import EmbitBase

class Script(EmbitBase):
    data: bytes
    def __init__(self, data: bytes = ...) -> None: ...

class Witness(EmbitBase):
    items: list[bytes]
    def __init__(self, items: list[bytes] = ...) -> None: ...
