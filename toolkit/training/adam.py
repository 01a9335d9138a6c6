"""Adam in fewer passes over memory than Keras', and on request only over what a batch touches."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqloom")
class Adam(keras.optimizers.Adam):
    """Keras' Adam, with TensorFlow's operation that updates a weight and its moments at once.

        m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
        w = w - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + e)

    Args:
        lazy: update only those rows of an embedding that occur in a batch. It is not the same: rows that do not occur
            keep their moments and their value, where Adam lets moments decay and goes on moving what they point to. All
            other gradients are dense, as are all on other backends than TensorFlow, which alone has gradients of rows.

    Keras' own squares the gradients of a row before it adds them up where a row occurs several times in a batch, on
    TensorFlow alone; this does not.

    Reference: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1 and the end of section 2; t counts all steps, for rows
        too, as in TensorFlow Addons' LazyAdam
    """

    def __init__(self, learning_rate: Any = 0.001, *, lazy: bool = False, **options: Any):
        super().__init__(learning_rate, **options)
        self.lazy = lazy

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lazy": self.lazy}

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        """As Keras does, after the gradients of a row that stands there several times have been added up."""
        sparse = keras.backend.backend() == "tensorflow" and any(hasattr(each, "indices") for each in grads)
        if not sparse:
            return super()._clip_gradients(grads)
        import tensorflow as tf

        once = _each_once if self.lazy else tf.convert_to_tensor
        grads = [once(each) if isinstance(each, tf.IndexedSlices) else each for each in grads]
        return tf.clip_by_global_norm(grads, self.global_clipnorm)[0] if self.global_clipnorm else grads

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if keras.backend.backend() != "tensorflow":
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        index = self._get_variable_index(variable)
        m, v = self._momentums[index].value, self._velocities[index].value
        steps = ops.cast(self.iterations + 1, variable.dtype)
        rate, first, second = ops.cast(learning_rate, variable.dtype), self.beta_1**steps, self.beta_2**steps
        if not isinstance(gradient, tf.IndexedSlices):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=first,
                beta2_power=second,
                lr=rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )
            return
        rows, values = gradient.indices, gradient.values
        rate = rate * tf.sqrt(1 - second) / (1 - first)
        new_m = self.beta_1 * tf.gather(m, rows) + (1 - self.beta_1) * values
        new_v = self.beta_2 * tf.gather(v, rows) + (1 - self.beta_2) * tf.square(values)
        m.scatter_update(tf.IndexedSlices(new_m, rows))
        v.scatter_update(tf.IndexedSlices(new_v, rows))
        variable.scatter_sub(tf.IndexedSlices(rate * new_m / (tf.sqrt(new_v) + self.epsilon), rows))


def _each_once(gradient: Any) -> Any:
    """The same gradient, with the values of rows that stand there several times added up."""
    import tensorflow as tf

    rows, places = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)
