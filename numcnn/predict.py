"""Read the digit in a picture file: preprocessing, then the network."""

from numcnn.imaging.preprocess import prepare_file


def predict_file(network, path):
    """Return ``{"path", "label", "probabilities"}`` of the picture in ``path``, as JSON can hold it.

    Raises DataError, with the path, when it is no readable picture or shows no ink.
    """
    probabilities = network.predict_proba(prepare_file(path))[0]
    return {
        "path": str(path),
        "label": int(probabilities.argmax()),
        "probabilities": [float(p) for p in probabilities],
    }
