"""The command ``mmvan sample-data``, for a clone and for ``mim``."""

from mmvan.cli.main import run_script

if __name__ == "__main__":
    run_script("sample-data")
