"""A layer of one's own that changes its state whenever it trains: it has no gradient for a single picture."""

from numcnn import Layer, StateSpec


class Restless(Layer):
    """Counts its training forwards, whether it is frozen or not."""

    def _build(self, in_shape):
        return in_shape, [StateSpec("count", (1,))]

    def _forward(self, x, training):
        if training:
            self.next_state["count"] += 1
        return x

    def _backward(self, dout, need_dx):
        return dout
