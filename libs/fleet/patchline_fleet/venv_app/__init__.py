"""The driver for Python applications: a folder with a virtual environment of its own, managed by uv.

All work on the folder is done by short-lived processes (:mod:`patchline_fleet.venv_app.worker`), which hold
the folder's lock themselves. Their modules use the standard library and ``packaging`` only, so they start
fast.
"""
