"""The command lines: ``mmvan COMMAND``, and the same as scripts in ``tools``.

A command is a module with ``DESCRIPTION``, ``add_options(parser)`` and ``run(args)``, which returns
its exit status, or None for 0. :mod:`mmvan.cli.main` finds it by its name and reports errors.
"""
