"""Numbers with their sign, as a sentence has them."""


def signed(value: float, decimals: int = 2) -> str:
    """With a plus or a minus that is no hyphen, e.g. "−0.10"."""
    return f"{value:+.{decimals}f}".replace("-", "−")


def points(share: float) -> str:
    """A difference of shares in points, e.g. "+12"."""
    return signed(100 * share, 0)
