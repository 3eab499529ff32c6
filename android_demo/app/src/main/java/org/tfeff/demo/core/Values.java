package org.tfeff.demo.core;

/** The real numbers of one output; integers that are not quantized are themselves. */
public final class Values {
    public final int[] shape; // without the batch
    public final double[] data;

    public Values(int[] shape, double[] data) {
        this.shape = shape.clone();
        this.data = data;
    }
}
