"""What a network is and how it runs: layers, losses, the network, its checks."""
