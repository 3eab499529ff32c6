package org.tfeff.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One image run on the phone and compared with the bytes that the PC computed for it, which lie beside the model as
 * `NAME.selftest.json` with the picture in `NAME.selftest.png`.
 */
public final class SelfTest {
    public final byte[] input;
    public final byte[] output;
    public final int limit; // largest difference in steps that kernels of another family may make
    public final String runtime;

    /** Reads the expected bytes; throws DemoException when they are not of this model's sha256. */
    public SelfTest(String json, Model model) throws DemoException {
        Object value = Json.parse(json);
        if (!(value instanceof Map)) {
            throw new DemoException(model.name + ".selftest.json: not a JSON object");
        }
        Map<?, ?> map = (Map<?, ?>) value;
        String where = model.name + ".selftest";
        if (!Keys.string(map, "sha256", where).equals(model.record.sha256)) {
            throw new DemoException(where + ": made for another file than this model");
        }
        input = Bytes.unhex(Keys.string(map, "input_hex", where));
        output = Bytes.unhex(Keys.string(map, "output_hex", where));
        limit = Keys.integer(map, "max_steps", where);
        runtime = Keys.string(map, "runtime", where);
        if (input.length != model.record.input.bytes() || output.length != model.record.output.bytes()) {
            throw new DemoException(where + ": has " + input.length + " and " + output.length
                    + " bytes, the model takes " + model.record.input.bytes() + " and gives "
                    + model.record.output.bytes());
        }
    }

    /** Whether the PC's Pillow resizes as version 13 does; true where the self-test does not say. */
    static boolean tallFirst(String json) throws DemoException {
        Object value = Json.parse(json);
        return !(value instanceof Map) || !Boolean.FALSE.equals(((Map<?, ?>) value).get("tall_first"));
    }

    /** How what the phone computed differs from the PC's. */
    public static final class Outcome {
        public final int inputDiffering; // bytes of the input tensor; every one is a fault of the preprocessing
        public final int outputDiffering; // elements of the output tensor
        public final double maxDifference; // in steps of the output's scale; in float32 relative to the largest number
        public final boolean sameTop;
        public final boolean passed;
        public final String text;

        Outcome(int inputDiffering, int outputDiffering, double maxDifference, boolean sameTop, boolean within) {
            this.inputDiffering = inputDiffering;
            this.outputDiffering = outputDiffering;
            this.maxDifference = maxDifference;
            this.sameTop = sameTop;
            passed = inputDiffering == 0 && within && sameTop;
            String how = outputDiffering == 0 ? "output bytes equal"
                    : outputDiffering + " output values differ, by up to " + (float) maxDifference
                            + (sameTop ? "" : "; another class comes first");
            text = (passed ? "passed: " : "FAILED: ")
                    + (inputDiffering == 0 ? "input bytes equal" : inputDiffering + " input bytes differ") + ", " + how;
        }

        public Map<String, Object> summary() {
            Map<String, Object> out = new LinkedHashMap<String, Object>();
            out.put("passed", passed);
            out.put("input_bytes_differing", inputDiffering);
            out.put("output_values_differing", outputDiffering);
            out.put("max_difference", maxDifference);
            out.put("same_top", sameTop);
            return out;
        }
    }

    /** Compares one result with the expected bytes. */
    public Outcome compare(Session.Result result, TensorSpec spec) {
        int inputDiffering = 0;
        for (int i = 0; i < input.length; i++) {
            inputDiffering += input[i] != result.input[i] ? 1 : 0;
        }
        float[] expected = Quantization.load(ByteBuffer.wrap(output).order(ByteOrder.nativeOrder()), spec);
        float[] found = Quantization.load(ByteBuffer.wrap(result.output).order(ByteOrder.nativeOrder()), spec);
        boolean real = spec.dtype.equals("float32");
        double unit = spec.scale;
        if (real) {
            unit = Double.MIN_NORMAL;
            for (float one : expected) {
                unit = Math.max(unit, Math.abs(one));
            }
        }
        int differing = 0;
        double most = 0;
        for (int i = 0; i < expected.length; i++) {
            double difference = Math.abs((double) expected[i] - found[i]);
            differing += difference != 0 ? 1 : 0;
            // NaN compares false with everything, and must not pass
            most = difference <= most * unit ? most : difference / unit;
        }
        boolean within = real ? most <= 1e-3 : Math.round(most) <= limit;
        boolean sameTop = best(expected) == best(found);
        return new Outcome(inputDiffering, differing, real ? most : Math.round(most), sameTop, within);
    }

    private static int best(float[] values) {
        return Scores.top(values, 1).get(0).index;
    }
}
