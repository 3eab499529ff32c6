package org.tfeff.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Between real numbers and the bytes of a tensor: int8, uint8 and float32, as `tfeff/compare/runner.py` does it. */
public final class Quantization {
    private Quantization() {}

    /** round(value / scale) + zero point in float32, halves to even, clipped; float32 passes unchanged. */
    public static void store(float[] values, TensorSpec spec, ByteBuffer to) {
        to.clear();
        to.order(ByteOrder.nativeOrder());
        if (spec.dtype.equals("float32")) {
            to.asFloatBuffer().put(values);
            return;
        }
        int low = spec.dtype.equals("int8") ? -128 : 0;
        for (float value : values) {
            float step = (float) Math.rint(value / spec.scale) + spec.zeroPoint;
            to.put((byte) (int) Math.max(low, Math.min(low + 255, step)));
        }
        to.rewind();
    }

    /** (stored - zero point) * scale in float32; float32 passes unchanged. */
    public static float[] load(ByteBuffer from, TensorSpec spec) {
        float[] out = new float[spec.elements()];
        ByteBuffer buffer = from.duplicate().order(ByteOrder.nativeOrder());
        buffer.rewind();
        if (spec.dtype.equals("float32")) {
            buffer.asFloatBuffer().get(out);
            return out;
        }
        int mask = spec.dtype.equals("uint8") ? 255 : -1;
        for (int i = 0; i < out.length; i++) {
            out[i] = ((float) (buffer.get() & mask) - (float) spec.zeroPoint) * spec.scale;
        }
        return out;
    }
}
