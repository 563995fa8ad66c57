"""One file a command, and what they share.

What takes long to import, torch above all, is imported inside the commands that need it.
"""
