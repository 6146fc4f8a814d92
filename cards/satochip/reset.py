"""Back to the factory: five signals, each alone in its power cycle, or since 0.16 one command."""

from cards.apdu import Form
from cards.errors import NotSupported, ProtocolError
from cards.satochip import NAME, commands
from cards.satochip.link import Link
from cards.satochip.wire import SW_RESET_SIGNAL
from cards.transport import PowerCycler, exchange, transmit

ONE_COMMAND = (0, 16)


def reset(link: Link) -> None:
    """Erase the card; authentikey and certificate stay."""
    if link.status().version >= ONE_COMMAND:
        link.send(commands.factory_reset())
        return
    transport = link.transport
    if not isinstance(transport, PowerCycler):
        raise NotSupported(NAME, "a factory reset on a reader that cannot switch its power")
    # The signals are in clear and ask nobody's name: be sure of the card first.
    link.reopen_channel()
    for left in reversed(range(commands.RESET_SIGNALS)):
        transport.power_cycle()
        exchange(transport, commands.select())
        _signal(link, left)


def _signal(link: Link, left: int) -> None:
    """Send one signal, alone; raises ProtocolError unless the card counts as it should."""
    answered = transmit(link.transport, commands.reset_signal(), Form.P3).sw
    if answered != SW_RESET_SIGNAL + left:
        raise ProtocolError(f"the card answers {answered:04X} with {left} reset signals left")
