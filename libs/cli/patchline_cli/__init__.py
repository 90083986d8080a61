"""The patchline command."""
