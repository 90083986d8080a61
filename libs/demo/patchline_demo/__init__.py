"""A small fleet of real applications, kept patched in front of your eyes."""
