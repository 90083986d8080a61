"""A whole Patchline on servers of its own, what is done to it, and what must hold in the end.

`docs/chaos.md` says what is proven. ``python -m chaos --seed 7 --updates 300`` runs it.
"""
