package org.tfeff.demo.core;

import java.nio.ByteBuffer;

/** A small artifact for tests: 2 x 2 grey image in, three classes out, and a runtime that computes it by hand. */
public final class Samples {
    public static final byte[] FILE = {0, 0, 0, 0, 'T', 'F', 'L', '3', 1, 2, 3};

    private Samples() {}

    /** A record that fits FILE; every `from`, `to` pair is replaced in its text. */
    public static String record(String... changes) {
        String text = "{'schema_version': 1, 'network': 'tiny', 'preset': 'tiny.shoes', 'precision': 'int8',"
                + " 'file': 'tiny.tflite', 'sha256': '" + Bytes.sha256(FILE) + "',"
                + " 'input': {'name': 'image', 'shape': [1, 2, 2, 1], 'dtype': 'int8', 'scale': 0.5, 'zero_point': -3},"
                + " 'output': {'name': 'logits', 'shape': [1, 3], 'dtype': 'int8', 'scale': 0.25, 'zero_point': 4},"
                + " 'preprocessing': {'resize': {'mode': 'exact', 'height': 2, 'width': 2, 'filter': 'bilinear'},"
                + " 'crop': {'mode': 'center', 'height': 2, 'width': 2}, 'colour': 'gray', 'mean': [10], 'std': [20]},"
                + " 'labels': ['Sandal', 'Bag', 'Ankle boot']}";
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

    /** Gives fixed output bytes, and remembers how it was opened and what it was fed. */
    public static final class FakeRuntime implements Runtime {
        public TensorSpec input = new TensorSpec(new int[] {1, 2, 2, 1}, "int8", 0.5f, -3);
        public TensorSpec output = new TensorSpec(new int[] {1, 3}, "int8", 0.25f, 4);
        public byte[] answer = {0, 8, 12}; // -1, 1 and 2
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
                public TensorSpec input() {
                    return input;
                }

                @Override
                public TensorSpec output() {
                    return output;
                }

                @Override
                public void run(ByteBuffer from, ByteBuffer to) throws DemoException {
                    if (failure != null) {
                        throw new DemoException(failure);
                    }
                    runs++;
                    fed = new byte[from.remaining()];
                    from.get(fed);
                    to.put(answer);
                }

                @Override
                public void close() {
                    closed++;
                }
            };
        }
    }
}
