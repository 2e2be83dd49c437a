"""The frameworks that numcnn is compared with, each as its own users would tune it.

Only ``worker`` loads these modules, by name, each in a process of its own.
"""
