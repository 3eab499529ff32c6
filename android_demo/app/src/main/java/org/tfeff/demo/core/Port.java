package org.tfeff.demo.core;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** A named input or output of a network: what a record says of it, or what a runtime found in the file. */
public final class Port {
    private static final String[] INPUTS = {"int8", "uint8", "float32"};
    private static final String[] OUTPUTS = {"int8", "uint8", "float32", "int32", "int64"};

    public final String name;
    public final int[] shape; // with the batch
    public final String dtype;
    public final float scale; // real = (stored - zeroPoint) * scale; 0 where the numbers are not quantized
    public final int zeroPoint;

    public Port(String name, int[] shape, String dtype, float scale, int zeroPoint) {
        this.name = name;
        this.shape = shape.clone();
        this.dtype = dtype;
        this.scale = scale;
        this.zeroPoint = zeroPoint;
    }

    /** Reads one of the record's `inputs` or `outputs`, which `side` names: "input" or "output". */
    static Port read(Map<?, ?> value, String side) throws DemoException {
        String name = Keys.string(value, "name", side);
        List<?> sizes = Keys.list(value, "shape", side);
        int[] shape = new int[sizes.size()];
        for (int i = 0; i < shape.length; i++) {
            Object one = sizes.get(i);
            if (!(one instanceof Double) || (Double) one != ((Double) one).intValue() || (Double) one < 1) {
                throw new DemoException(side + ".shape: " + one + " is not a size");
            }
            shape[i] = ((Double) one).intValue();
        }
        String dtype = Keys.oneOf(value, "dtype", side, side.equals("input") ? INPUTS : OUTPUTS);
        if (!isQuantized(dtype)) {
            return new Port(name, shape, dtype, 0, 0);
        }
        float scale = (float) Keys.number(value, "scale", side);
        if (!(scale > 0)) {
            throw new DemoException(side + ".scale: must be above 0, not " + scale);
        }
        return new Port(name, shape, dtype, scale, Keys.integer(value, "zero_point", side));
    }

    private static boolean isQuantized(String dtype) {
        return dtype.equals("int8") || dtype.equals("uint8");
    }

    public boolean quantized() {
        return isQuantized(dtype);
    }

    public int elements() {
        int product = 1;
        for (int size : shape) {
            product *= size;
        }
        return product;
    }

    public int bytes() {
        int each = quantized() ? 1 : dtype.equals("int64") ? 8 : 4;
        return elements() * each;
    }

    /** The shape without its batch of 1; some files drop the batch of a list of numbers, records never do. */
    public int[] sample() {
        return shape.length > 1 && shape[0] == 1 ? Arrays.copyOfRange(shape, 1, shape.length) : shape.clone();
    }

    /** What differs from `found`, the file's own, as the record's word against the file's; empty when nothing does. */
    List<String> differences(Port found, String side) {
        List<String> out = new ArrayList<String>();
        if (!Arrays.equals(sample(), found.sample())) {
            out.add(against(side + " shape", Arrays.toString(shape), Arrays.toString(found.shape)));
        }
        if (!dtype.equals(found.dtype)) {
            out.add(against(side + " type", dtype, found.dtype));
        } else if (quantized()) {
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
        String text = name + " " + dtype + " " + Arrays.toString(shape);
        return quantized() ? text + ", scale " + scale + ", zero point " + zeroPoint : text;
    }
}
