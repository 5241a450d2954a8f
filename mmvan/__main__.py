"""``python -m mmvan COMMAND``: the command ``mmvan``, with the interpreter that is named."""

from mmvan.cli.main import main

if __name__ == "__main__":
    main()
