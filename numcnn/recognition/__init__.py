"""From ink to answers: which strokes are a digit, what the network reads, when it is not sure."""
