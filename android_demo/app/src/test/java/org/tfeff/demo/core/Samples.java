package org.tfeff.demo.core;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Small artifacts for tests: 2 x 2 grey image in, and a runtime that gives outputs by hand. */
public final class Samples {
    public static final byte[] FILE = {0, 0, 0, 0, 'T', 'F', 'L', '3', 1, 2, 3};
    private static final String HEAD = "'network': 'tiny', 'preset': 'tiny.shoes', 'precision': 'int8',"
            + " 'file': 'tiny.tflite', 'sha256': '" + Bytes.sha256(FILE) + "',";
    private static final String PREPROCESSING = "{'resize': {'mode': 'exact', 'height': 2, 'width': 2, 'filter': 'bilinear'},"
            + " 'crop': {'mode': 'center', 'height': 2, 'width': 2}, 'colour': 'gray', 'mean': [10], 'std': [20]}";
    private static final String INPUT = "'name': 'image', 'shape': [1, 2, 2, 1], 'dtype': 'int8', 'scale': 0.5,"
            + " 'zero_point': -3";
    private static final String LABELS = "'labels': ['Sandal', 'Bag', 'Ankle boot']";

    private Samples() {}

    /** A record of three classes that fits FILE; every `from`, `to` pair is replaced in its text. */
    public static String record(String... changes) {
        return changed("{'schema_version': 2, " + HEAD + " 'inputs': [{" + INPUT + ", 'preprocessing': " + PREPROCESSING
                + "}], 'outputs': [{'name': 'logits', 'shape': [1, 3], 'dtype': 'int8', 'scale': 0.25, 'zero_point': 4,"
                + " 'preprocessing': null}], 'tasks': [{'name': 'classification', 'outputs': ['logits'], " + LABELS
                + ", 'decode': {'kind': 'classes', 'scores': 'logits'}}]}", changes);
    }

    /** The same as it was written before ports and tasks. */
    public static String record1(String... changes) {
        return changed("{'schema_version': 1, " + HEAD + " 'input': {" + INPUT + "},"
                + " 'output': {'name': 'logits', 'shape': [1, 3], 'dtype': 'int8', 'scale': 0.25, 'zero_point': 4},"
                + " 'preprocessing': " + PREPROCESSING + ", " + LABELS + "}", changes);
    }

    /** A record of two outputs, an age and five numbers that nobody described; `several()` runs it. */
    public static String severalRecord(String... changes) {
        return changed("{'schema_version': 2, " + HEAD + " 'inputs': [{" + INPUT + ", 'preprocessing': " + PREPROCESSING
                + "}], 'outputs': [{'name': 'age', 'shape': [1, 1], 'dtype': 'float32'},"
                + " {'name': 'steps', 'shape': [1, 2], 'dtype': 'int8', 'scale': 0.25, 'zero_point': 4},"
                + " {'name': 'ids', 'shape': [1, 2], 'dtype': 'int32'}],"
                + " 'tasks': [{'name': 'regression', 'outputs': ['age'], 'labels': ['age']},"
                + " {'name': 'tensors', 'outputs': ['ids', 'steps']}]}", changes);
    }

    /** A record of a detector of two classes with two places side by side; `detector()` runs it. */
    public static String detectorRecord(String... changes) {
        return changed("{'schema_version': 2, " + HEAD + " 'inputs': [{" + INPUT + ", 'preprocessing': " + PREPROCESSING
                + "}], 'outputs': [{'name': 'boxes', 'shape': [1, 1, 2, 8], 'dtype': 'float32'},"
                + " {'name': 'scores', 'shape': [1, 1, 2, 2], 'dtype': 'float32'}],"
                + " 'tasks': [{'name': 'detection', 'outputs': ['boxes', 'scores'], 'labels': ['cat', 'dog'], 'decode': {"
                + "'kind': 'distances', 'score': 'sigmoid', 'size': [2, 2], 'classes': 2, 'bins': 2, 'score_threshold': 0.1,"
                + " 'iou_threshold': 0.6, 'per_class': 10, 'keep': 10, 'levels': [{'rows': 1, 'columns': 2, 'step': [2, 1],"
                + " 'boxes': 'boxes', 'scores': 'scores'}]}}]}", changes);
    }

    /** Gives a cat of .88 in the left half, and one of .4 that reaches from the middle of the left half to the right end. */
    public static FakeRuntime detector(FakeRuntime runtime) {
        runtime.outputs = Arrays.asList(new Port("boxes", new int[] {1, 1, 2, 8}, "float32", 0, 0),
                new Port("scores", new int[] {1, 1, 2, 2}, "float32", 0, 0));
        runtime.answers.clear();
        runtime.answers.add(real(0, 0, 0, 0, 0, 0, 0, 0, -99, 99, 0, 0, 0, 0, 0, 0)); // logits of left, top, right, bottom
        runtime.answers.add(real(2, -9, -0.4f, -9));
        return runtime;
    }

    private static byte[] real(float... values) {
        int[] bits = new int[values.length];
        for (int i = 0; i < bits.length; i++) {
            bits[i] = Float.floatToIntBits(values[i]);
        }
        return little(bits);
    }

    private static String changed(String text, String... changes) {
        for (int i = 0; i < changes.length; i += 2) {
            if (!text.contains(changes[i])) {
                throw new IllegalArgumentException(changes[i]);
            }
            text = text.replace(changes[i], changes[i + 1]);
        }
        return text.replace('\'', '"');
    }

    public static Model model(String... changes) throws DemoException {
        return new Model("tiny", "in a test", FILE, record(changes), true);
    }

    /** Grey everywhere. */
    public static Picture grey(int height, int width, int value) {
        byte[] rgb = new byte[height * width * 3];
        java.util.Arrays.fill(rgb, (byte) value);
        return new Picture(height, width, rgb);
    }

    public static FakeRuntime several() {
        return several(new FakeRuntime());
    }

    /** Makes a runtime fit `severalRecord`; the file has the outputs in another order. */
    public static FakeRuntime several(FakeRuntime runtime) {
        runtime.outputs = Arrays.asList(new Port("ids", new int[] {1, 2}, "int32", 0, 0),
                new Port("age", new int[] {1, 1}, "float32", 0, 0),
                new Port("steps", new int[] {1, 2}, "int8", 0.25f, 4));
        runtime.answers.clear();
        runtime.answers.add(little(70000, -3));
        runtime.answers.add(little(Float.floatToIntBits(31.5f)));
        runtime.answers.add(new byte[] {0, 12});
        return runtime;
    }

    /** Numbers of four bytes in this machine's order. */
    public static byte[] little(int... values) {
        ByteBuffer out = ByteBuffer.allocate(4 * values.length).order(java.nio.ByteOrder.nativeOrder());
        for (int one : values) {
            out.putInt(one);
        }
        return out.array();
    }

    /** Gives fixed output bytes, and remembers how it was opened and what it was fed. */
    public static final class FakeRuntime implements Runtime {
        public Port input = new Port("image", new int[] {1, 2, 2, 1}, "int8", 0.5f, -3);
        public List<Port> outputs = Arrays.asList(new Port("logits", new int[] {1, 3}, "int8", 0.25f, 4));
        public final List<byte[]> answers = new ArrayList<byte[]>(Arrays.asList(new byte[] {0, 8, 12})); // -1, 1 and 2
        public String opened = "";
        public byte[] fed;
        public int runs;
        public int closed;
        public String failure; // thrown by run where set

        @Override
        public String name() {
            return "fake 1";
        }

        @Override
        public Network open(ByteBuffer file, int threads, boolean xnnpack) {
            opened = file.remaining() + " bytes, " + threads + " threads, " + xnnpack;
            return new Network() {
                @Override
                public List<Port> inputs() {
                    return Arrays.asList(input);
                }

                @Override
                public List<Port> outputs() {
                    return outputs;
                }

                @Override
                public void run(ByteBuffer[] from, ByteBuffer[] to) throws DemoException {
                    if (failure != null) {
                        throw new DemoException(failure);
                    }
                    runs++;
                    fed = new byte[from[0].remaining()];
                    from[0].get(fed);
                    for (int i = 0; i < to.length; i++) {
                        to[i].put(answers.get(i));
                    }
                }

                @Override
                public void close() {
                    closed++;
                }
            };
        }
    }
}
