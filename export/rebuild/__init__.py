"""A float `.tflite` file of any converter as a Keras model, so that it takes every step of an export.

`reading` refuses what cannot come back before TensorFlow is loaded; `network` builds the model operation by operation.
"""
