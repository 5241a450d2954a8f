"""A page in the browser that shows what models predict on images: ``mmvan demo-app``.

Everything but :mod:`mmvan.app.page` works without Gradio.
"""
