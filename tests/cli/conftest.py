"""The commands are run in the same workplace as their scripts."""

from tests.tools.conftest import workplace

__all__ = ["workplace"]
