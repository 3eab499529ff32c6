package org.tfeff.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.tasks.Answer;

/**
 * One image run on the phone and compared with the bytes that the PC computed for it, which lie beside the model as
 * `NAME.selftest.json` with the picture in `NAME.selftest.png`.
 */
public final class SelfTest {
    private static final double SHARE = 1e-3; // of the largest number of a float output

    public final byte[] input;
    public final Map<String, byte[]> outputs; // by the record's names
    public final int limit; // largest difference in steps that kernels of another family may make
    public final String runtime;
    private final Record record;

    /** Reads the expected bytes; throws DemoException when they are not of this model's sha256. */
    public SelfTest(String json, Model model) throws DemoException {
        String where = model.name + ".selftest";
        Map<?, ?> map = Keys.object(Json.parse(json), where + ".json");
        record = model.record;
        if (!Keys.string(map, "sha256", where).equals(record.sha256)) {
            throw new DemoException(where + ": made for another file than this model");
        }
        input = Bytes.unhex(Keys.string(map, "input_hex", where));
        limit = Keys.integer(map, "max_steps", where);
        runtime = Keys.string(map, "runtime", where);
        outputs = new LinkedHashMap<String, byte[]>();
        boolean one = map.get("output_hex") instanceof String; // of a file with one output, before outputs had names
        Map<?, ?> hex = one ? map : Keys.map(map, "output_hex", where);
        for (Port port : record.outputs) {
            byte[] bytes = Bytes.unhex(Keys.string(hex, one ? "output_hex" : port.name, where));
            if (bytes.length != port.bytes()) {
                throw new DemoException(where + ": has " + bytes.length + " bytes, the model gives " + port.bytes()
                        + " (" + port.name + ")");
            }
            outputs.put(port.name, bytes);
        }
        if (input.length != record.input.bytes()) {
            throw new DemoException(where + ": has " + input.length + " bytes, the model takes "
                    + record.input.bytes());
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
        public final int outputDiffering; // values of all outputs
        public final double maxDifference; // of the worst output: in steps; of a float one as a share of its largest number
        public final boolean sameAnswer;
        public final boolean passed;
        public final String text;

        Outcome(int inputDiffering, int outputDiffering, Difference worst, boolean sameAnswer, String where) {
            this.inputDiffering = inputDiffering;
            this.outputDiffering = outputDiffering;
            this.maxDifference = worst.size;
            this.sameAnswer = sameAnswer;
            passed = inputDiffering == 0 && worst.within() && sameAnswer;
            String how = outputDiffering == 0 ? "output bytes equal"
                    : outputDiffering + " output values differ" + where + ", by up to " + (float) maxDifference
                            + (sameAnswer ? "" : "; the answer is another");
            text = (passed ? "passed: " : "FAILED: ")
                    + (inputDiffering == 0 ? "input bytes equal" : inputDiffering + " input bytes differ") + ", " + how;
        }

        public Map<String, Object> summary() {
            Map<String, Object> out = new LinkedHashMap<String, Object>();
            out.put("passed", passed);
            out.put("input_bytes_differing", inputDiffering);
            out.put("output_values_differing", outputDiffering);
            out.put("max_difference", maxDifference);
            out.put("same_answer", sameAnswer);
            return out;
        }
    }

    /** Compares one result with the expected bytes. */
    public Outcome compare(Session.Result result) {
        int inputDiffering = 0;
        for (int i = 0; i < input.length; i++) {
            inputDiffering += input[i] != result.input[i] ? 1 : 0;
        }
        Map<String, Values> expected = new LinkedHashMap<String, Values>();
        Map<String, Values> found = new LinkedHashMap<String, Values>();
        Difference worst = null;
        String name = "";
        int differing = 0;
        for (Port port : record.outputs) {
            Values wanted = values(outputs.get(port.name), port);
            Values given = values(result.outputs.get(port.name), port);
            Difference one = new Difference(wanted.data, given.data, port, limit);
            expected.put(port.name, wanted);
            found.put(port.name, given);
            differing += one.count;
            if (worst == null || one.share() > worst.share()) {
                worst = one;
                name = port.name;
            }
        }
        List<Answer> answers = Session.answers(record.tasks, expected); // by the record's thresholds, whatever the screen's
        List<Answer> others = Session.answers(record.tasks, found);
        boolean same = true;
        for (int i = 0; i < answers.size(); i++) {
            same &= answers.get(i).sameAs(others.get(i));
        }
        String where = record.outputs.size() > 1 ? ", the farthest in " + name : "";
        return new Outcome(inputDiffering, differing, worst, same, where);
    }

    private static Values values(byte[] bytes, Port port) {
        return new Values(port.sample(), Quantization.load(ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()), port));
    }

    /** How far an output is from what the PC computed. */
    private static final class Difference {
        final int count; // of values that differ
        final double size; // the largest: in steps, or of a float output as a share of its largest number
        private final double allowed;

        Difference(double[] expected, double[] found, Port port, int limit) {
            boolean real = port.dtype.equals("float32");
            double unit = port.quantized() ? port.scale : 1; // integers that are no measurements must be equal
            allowed = real ? SHARE : port.quantized() ? limit : 0;
            if (real) {
                unit = Double.MIN_NORMAL;
                for (double one : expected) {
                    unit = Math.max(unit, Math.abs(one));
                }
            }
            int differing = 0;
            double most = 0;
            for (int i = 0; i < expected.length; i++) {
                double difference = Math.abs(expected[i] - found[i]);
                differing += difference != 0 ? 1 : 0;
                // NaN compares false with everything, and must not pass
                most = difference <= most * unit ? most : difference / unit;
            }
            count = differing;
            size = real ? most : Math.round(most);
        }

        boolean within() {
            return size <= allowed;
        }

        /** Of what is allowed; infinite for what is no number. */
        double share() {
            return size == 0 ? 0 : size <= Double.MAX_VALUE && allowed > 0 ? size / allowed : Double.POSITIVE_INFINITY;
        }
    }
}
