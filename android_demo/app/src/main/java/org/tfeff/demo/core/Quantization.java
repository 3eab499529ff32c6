package org.tfeff.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Between real numbers and the bytes of a tensor, as `tfeff/compare/runner.py` does it. */
public final class Quantization {
    private Quantization() {}

    /** round(value / scale) + zero point in float32, halves to even, clipped; float32 passes unchanged. */
    public static void store(float[] values, Port port, ByteBuffer to) {
        to.clear();
        to.order(ByteOrder.nativeOrder());
        if (!port.quantized()) {
            to.asFloatBuffer().put(values);
            return;
        }
        int low = port.dtype.equals("int8") ? -128 : 0;
        for (float value : values) {
            float step = (float) Math.rint(value / port.scale) + port.zeroPoint;
            to.put((byte) (int) Math.max(low, Math.min(low + 255, step)));
        }
        to.rewind();
    }

    /** (stored - zero point) * scale in float32; what is not quantized passes unchanged. */
    public static double[] load(ByteBuffer from, Port port) {
        double[] out = new double[port.elements()];
        ByteBuffer buffer = from.duplicate().order(ByteOrder.nativeOrder());
        buffer.rewind();
        int mask = port.dtype.equals("uint8") ? 255 : -1;
        for (int i = 0; i < out.length; i++) {
            switch (port.dtype) {
                case "float32":
                    out[i] = buffer.getFloat();
                    break;
                case "int32":
                    out[i] = buffer.getInt();
                    break;
                case "int64":
                    out[i] = buffer.getLong();
                    break;
                default:
                    out[i] = ((float) (buffer.get() & mask) - (float) port.zeroPoint) * port.scale;
            }
        }
        return out;
    }
}
