"""Tells what is installed, tries it, and names the fix for what fails.

    python -m mmvan.doctor [--json]

Each part is used, not only imported: an mmcv without operators, for one, imports without error. The
exit status is 1 if training could not work. Nothing outside the standard library is imported
before its check, so that the doctor can report what is missing.
"""
