package org.tfeff.demo.core;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Shape, type and scale of a network's input or output: what a record says, or what a runtime found in the file. */
public final class TensorSpec {
    public final int[] shape; // with the batch
    public final String dtype; // "int8", "uint8" or "float32"
    public final float scale; // real = (stored - zeroPoint) * scale; 0 for float32
    public final int zeroPoint;

    public TensorSpec(int[] shape, String dtype, float scale, int zeroPoint) {
        this.shape = shape.clone();
        this.dtype = dtype;
        this.scale = scale;
        this.zeroPoint = zeroPoint;
    }

    /** Reads the record's `input` or `output`. */
    static TensorSpec read(Map<?, ?> record, String side) throws DemoException {
        Map<?, ?> value = Keys.map(record, side, "record");
        List<?> sizes = Keys.list(value, "shape", side);
        int[] shape = new int[sizes.size()];
        for (int i = 0; i < shape.length; i++) {
            Object one = sizes.get(i);
            if (!(one instanceof Double) || (Double) one != ((Double) one).intValue() || (Double) one < 1) {
                throw new DemoException(side + ".shape: " + one + " is not a size");
            }
            shape[i] = ((Double) one).intValue();
        }
        String dtype = Keys.oneOf(value, "dtype", side, "int8", "uint8", "float32");
        if (dtype.equals("float32")) {
            return new TensorSpec(shape, dtype, 0, 0);
        }
        float scale = (float) Keys.number(value, "scale", side);
        if (!(scale > 0)) {
            throw new DemoException(side + ".scale: must be above 0, not " + scale);
        }
        return new TensorSpec(shape, dtype, scale, Keys.integer(value, "zero_point", side));
    }

    public int elements() {
        int product = 1;
        for (int size : shape) {
            product *= size;
        }
        return product;
    }

    public int bytes() {
        return elements() * (dtype.equals("float32") ? 4 : 1);
    }

    /** What differs from `found`, the file's own, as the record's word against the file's; empty when nothing does. */
    List<String> differences(TensorSpec found, String side) {
        List<String> out = new ArrayList<String>();
        if (!Arrays.equals(shape, found.shape)) {
            out.add(against(side + " shape", Arrays.toString(shape), Arrays.toString(found.shape)));
        }
        if (!dtype.equals(found.dtype)) {
            out.add(against(side + " type", dtype, found.dtype));
        } else if (!dtype.equals("float32")) {
            if (scale != found.scale) {
                out.add(against(side + " scale", "" + scale, "" + found.scale));
            }
            if (zeroPoint != found.zeroPoint) {
                out.add(against(side + " zero point", "" + zeroPoint, "" + found.zeroPoint));
            }
        }
        return out;
    }

    private static String against(String what, String record, String file) {
        return what + ": the record says " + record + ", the file has " + file;
    }

    @Override
    public String toString() {
        String text = dtype + " " + Arrays.toString(shape);
        return dtype.equals("float32") ? text : text + ", scale " + scale + ", zero point " + zeroPoint;
    }
}
