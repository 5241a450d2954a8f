"""Importing this module makes MMEngine read every checkpoint of the process safely.

For training scripts that are not mmvan's, by one line of a config::

    custom_imports = dict(imports=["mmvan", "mmvan.checkpoint.safe"])

It calls :func:`mmvan.checkpoint.schemes.use_safe_loaders`.
"""

from mmvan.checkpoint.schemes import use_safe_loaders

use_safe_loaders()
