"""How good a network is: figures, calibrated probabilities, plots."""
