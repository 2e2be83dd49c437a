"""Open the drawing pad: draw a digit, and see the answer while you draw."""

EXAMPLES = """examples:
  numcnn draw
"""


def add_arguments(parser):
    """Add this command's options."""


def run(arguments):
    """Open the pad."""
