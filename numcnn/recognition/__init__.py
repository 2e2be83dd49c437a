"""From ink to answers: which strokes make a digit, what the network reads in it, and when it is not sure."""
