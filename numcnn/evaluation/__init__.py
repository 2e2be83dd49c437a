"""How good a network is: figures of merit, calibrated probabilities, plots."""
