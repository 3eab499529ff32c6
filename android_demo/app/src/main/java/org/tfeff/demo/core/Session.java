package org.tfeff.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** A model opened in a runtime: image in, scores out, with the time of each step. Not for two threads at once. */
public final class Session {
    public final Model model;
    public final int threads;
    public final boolean xnnpack;
    public final double openMs;
    public final Timings preprocessing;
    public final Timings inference;
    public final Timings postprocessing;
    private final Runtime.Network network;
    private final ByteBuffer input;
    private final ByteBuffer output;

    /** What one image gave. */
    public static final class Result {
        public final List<Scores.Entry> top;
        public final byte[] input; // the bytes of the input tensor
        public final byte[] output; // and of the output tensor

        Result(List<Scores.Entry> top, byte[] input, byte[] output) {
            this.top = top;
            this.input = input;
            this.output = output;
        }
    }

    /**
     * Opens a model, and compares what the runtime finds in the file with what the record says.
     *
     * @param window how many timings are kept.
     * @throws DemoException the runtime refuses the file, or record and file differ; every difference is named.
     */
    public Session(Runtime runtime, Model model, int threads, boolean xnnpack, int window) throws DemoException {
        this.model = model;
        this.threads = threads;
        this.xnnpack = xnnpack;
        preprocessing = new Timings(window);
        inference = new Timings(window);
        postprocessing = new Timings(window);
        ByteBuffer file = ByteBuffer.allocateDirect(model.file.length).order(ByteOrder.nativeOrder());
        file.put(model.file).rewind();
        long from = System.nanoTime();
        network = runtime.open(file, threads, xnnpack);
        openMs = milliseconds(from, System.nanoTime());
        List<String> wrong = new ArrayList<String>();
        wrong.addAll(model.record.input.differences(network.input(), "input"));
        wrong.addAll(model.record.output.differences(network.output(), "output"));
        if (!wrong.isEmpty()) {
            network.close();
            StringBuilder text = new StringBuilder(model.name + ": record and file do not fit.");
            for (String one : wrong) {
                text.append('\n').append(one);
            }
            throw new DemoException(text.toString());
        }
        input = ByteBuffer.allocateDirect(model.record.input.bytes()).order(ByteOrder.nativeOrder());
        output = ByteBuffer.allocateDirect(model.record.output.bytes()).order(ByteOrder.nativeOrder());
    }

    /** Runs one picture and notes the time of each step. */
    public Result run(Picture picture, int topK) throws DemoException {
        Record record = model.record;
        long start = System.nanoTime();
        Preprocessing steps = record.preprocessing;
        Quantization.store(steps.normalize(steps.pixels(picture, model.tallFirst)), record.input, input);
        long prepared = System.nanoTime();
        input.rewind();
        output.rewind();
        network.run(input, output);
        long inferred = System.nanoTime();
        List<Scores.Entry> top = Scores.top(Quantization.load(output, record.output), topK);
        long done = System.nanoTime();
        preprocessing.add(milliseconds(start, prepared));
        inference.add(milliseconds(prepared, inferred));
        postprocessing.add(milliseconds(inferred, done));
        return new Result(top, bytes(input), bytes(output));
    }

    public void close() {
        network.close();
    }

    private static byte[] bytes(ByteBuffer from) {
        ByteBuffer view = from.duplicate();
        view.rewind();
        byte[] out = new byte[view.capacity()];
        view.get(out);
        return out;
    }

    private static double milliseconds(long from, long to) {
        return (to - from) / 1e6;
    }
}
