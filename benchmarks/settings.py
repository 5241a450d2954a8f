"""What the command line asks of every suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from mmvan.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: Threads of every form.
        repeats: How often each step is measured; None for the suite's own number.
        quick: Tiny networks and images: shows that everything runs, and measures nothing.
        only: Patterns of the forms to measure, as in ``folded*``; empty for all.
    """

    device: str
    threads: int
    repeats: int | None = None
    quick: bool = False
    only: Sequence[str] = ()

    def repeat(self, usual: int) -> int:
        """The number of repeats of a suite that usually takes ``usual``."""
        return self.repeats or (1 if self.quick else usual)

    def choose(self, forms: Sequence[str], baseline: str) -> list[str]:
        """The forms that were asked for, and the one that they are compared with.

        Raises:
            ConfigError: A pattern names none of the forms.
        """
        for pattern in self.only:
            if not any(fnmatch(form, pattern) for form in forms):
                raise ConfigError(
                    f"--only {pattern!r} names no form.{did_you_mean(pattern, forms)} "
                    f"The forms are: {', '.join(forms)}"
                )
        patterns = self.only or ("*",)
        asked = [form for form in forms if any(fnmatch(form, pattern) for pattern in patterns)]
        return asked if baseline in asked else [baseline, *asked]
