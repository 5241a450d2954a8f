"""The command ``mmvan publish``, for a clone and for ``mim``."""

from mmvan.cli.main import run_script

if __name__ == "__main__":
    run_script("publish")
