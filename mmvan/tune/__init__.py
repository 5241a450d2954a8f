"""Finds the fastest operators and layout of a device, by measuring them where they will run.

    python -m mmvan.tune --arch b0 --batch 8 --size 224 224

Each backend in each layout computes the network's parts in a child process, and is compared with
plain PyTorch: what differs, crashes, hangs or is not faster is refused. What remains is kept in the
user's cache, per device, versions and kind of work. :class:`mmvan.TuneHook` does the same in a
training or test run.
"""
