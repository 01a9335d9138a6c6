"""Adam that leaves alone what a batch does not touch."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqloom")
class LazyAdam(keras.optimizers.Adam):
    """Adam that updates only those rows of an embedding that occur in a batch.

        m[r] = b1 m[r] + (1 - b1) g[r];  v[r] = b2 v[r] + (1 - b2) g[r]^2      for rows r that occur
        w[r] = w[r] - lr sqrt(1 - b2^t) / (1 - b1^t) m[r] / (sqrt(v[r]) + e)

    It is not the same as Adam: rows that do not occur keep their moments and their value, where Adam lets moments decay
    and goes on moving what they point to. The gradients of all other weights are dense, and updated as by Adam; so are
    all on other backends than TensorFlow, which alone has gradients of rows.

    Reference: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1; t counts all steps, as in TensorFlow Addons' LazyAdam
    """

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        """As Keras does, but gradients of rows stay that, each row once."""
        if not any(hasattr(each, "indices") for each in grads):
            return super()._clip_gradients(grads)
        import tensorflow as tf

        grads = [_each_once(each) if isinstance(each, tf.IndexedSlices) else each for each in grads]
        return tf.clip_by_global_norm(grads, self.global_clipnorm)[0] if self.global_clipnorm else grads

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not hasattr(gradient, "indices"):
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        rows, values = gradient.indices, gradient.values
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        steps = ops.cast(self.iterations + 1, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        rate = rate * ops.sqrt(1 - ops.power(self.beta_2, steps)) / (1 - ops.power(self.beta_1, steps))
        new_m = self.beta_1 * tf.gather(m.value, rows) + (1 - self.beta_1) * values
        new_v = self.beta_2 * tf.gather(v.value, rows) + (1 - self.beta_2) * tf.square(values)
        self.assign(m, tf.IndexedSlices(new_m, rows))
        self.assign(v, tf.IndexedSlices(new_v, rows))
        self.assign_sub(variable, tf.IndexedSlices(rate * new_m / (tf.sqrt(new_v) + self.epsilon), rows))


def _each_once(gradient: Any) -> Any:
    """The same gradient, with the values of rows that stand there several times added up."""
    import tensorflow as tf

    rows, places = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)
