"""What a reader says when a rule does not hold."""


class Refused(Exception):
    """Something was not as the text demands; `reason` names the rule.

    Part 1 fixes the names (in brackets after each rule). Elsewhere any name will
    do; this reader takes the vectors' where they have one.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def require(holds: bool, reason: str) -> None:
    """Refuses with `reason` unless `holds`."""
    if not holds:
        raise Refused(reason)
