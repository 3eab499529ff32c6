"""Importing TensorFlow without its start-up lines, which its C++ side prints before any log level is read."""

import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras with stderr set aside; what was printed is shown only if the import fails."""
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import keras  # noqa: F401
            import tensorflow as tf

            tf.constant(0)  # the last of the lines comes with the first operation
        except BaseException:
            os.dup2(saved, 2)
            aside.seek(0)
            sys.stderr.write(aside.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
    tf.get_logger().setLevel("ERROR")
