"""The command ``mmvan demo-app``, for a clone and for ``mim``."""

from mmvan.cli.main import run_script

if __name__ == "__main__":
    run_script("demo-app")
