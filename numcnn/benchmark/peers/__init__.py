"""The frameworks that numcnn is compared with, each in the way that its own users would call well tuned.

Only ``worker`` loads these modules, by name, in a process of their own.
"""
