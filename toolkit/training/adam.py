"""Adam in fewer passes over memory than Keras', and on request only over what a batch touches."""

import warnings
from typing import Any

import keras
from keras import ops

from toolkit import kernels


@keras.saving.register_keras_serializable(package="seqloom")
class Adam(keras.optimizers.Adam):
    """Keras' Adam, with TensorFlow's operation that updates a weight and its moments at once.

        m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
        w = w - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + e)

    Args:
        lazy: update only those rows of an embedding that occur in a batch. It is not the same: rows that do not occur
            keep their moments and their value, where Adam lets moments decay and goes on moving what they point to. All
            other gradients are dense, as are all on other backends than TensorFlow, which alone has gradients of rows.

    Raises: ValueError for amsgrad, clipnorm and clipvalue.

    Keras' own squares the gradients of a row before it adds them up where a row occurs several times in a batch, on
    TensorFlow alone; this does not.

    Reference: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1 and the end of section 2; t counts all steps, for rows
        too, as in TensorFlow Addons' LazyAdam
    """

    def __init__(self, learning_rate: Any = 0.001, *, lazy: bool = False, **options: Any):
        if refused := [name for name in ("amsgrad", "clipnorm", "clipvalue") if options.get(name)]:
            raise ValueError(f"{' and '.join(refused)}: this is plain Adam, clipped by global_clipnorm or not at all")
        super().__init__(learning_rate, **options)
        self.lazy = lazy
        if lazy and (backend := keras.backend.backend()) != "tensorflow":
            told = f"training.lazy_embeddings changes nothing on {backend}, which has no gradients of rows"
            warnings.warn(f"{told}; this is Adam as it is.", stacklevel=2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lazy": self.lazy}

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        """As Keras does, after the gradients of a row that stands there several times have been added up."""
        sparse = keras.backend.backend() == "tensorflow" and any(hasattr(each, "indices") for each in grads)
        if not sparse:
            return super()._clip_gradients(grads)
        import tensorflow as tf

        grads = [self._each_once(each) if isinstance(each, tf.IndexedSlices) else each for each in grads]
        return tf.clip_by_global_norm(grads, self.global_clipnorm)[0] if self.global_clipnorm else grads

    def _each_once(self, gradient: Any) -> Any:
        """The same gradient, dense where it has to be, or with the values of a row's several places added up."""
        import tensorflow as tf

        if operations := _kernel(gradient):
            rows, values = operations.seqloom_row_sums(tf.cast(gradient.indices, tf.int32), gradient.values)
        elif self.lazy:
            rows, places = tf.unique(gradient.indices)
            values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
        else:
            return tf.convert_to_tensor(gradient)
        return tf.IndexedSlices(values, rows, gradient.dense_shape)

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
        if operations := _kernel(gradient):
            handles = [each.handle for each in (variable, m, v)]
            constants = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
            operations.seqloom_adam(*handles, rate, rows, values, lazy=self.lazy, **constants)
            return
        new_m = self.beta_1 * tf.gather(m, rows) + (1 - self.beta_1) * values
        new_v = self.beta_2 * tf.gather(v, rows) + (1 - self.beta_2) * tf.square(values)
        m.scatter_update(tf.IndexedSlices(new_m, rows))
        v.scatter_update(tf.IndexedSlices(new_v, rows))
        variable.scatter_sub(tf.IndexedSlices(rate * new_m / (tf.sqrt(new_v) + self.epsilon), rows))


def _kernel(gradient: Any) -> Any:
    """The operations for a table's gradient of rows, if there are any."""
    import tensorflow as tf

    fits = gradient.values.dtype.name == "float32" and tf.TensorShape(gradient.values.shape).rank == 2
    return kernels.load()[0] if fits and not kernels.in_xla() else None
