"""What work costs: CPU time, for others use this machine, too."""

import resource


def cpu() -> float:
    """Return the CPU seconds of this process so far, and of those it waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)
