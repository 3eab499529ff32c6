package org.tfeff.demo.core;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.tasks.Answer;
import org.tfeff.demo.core.tasks.Frame;
import org.tfeff.demo.core.tasks.TaskSpec;

/** A model opened in a runtime: image in, answers out, with the time of each step. Not for two threads at once. */
public final class Session {
    public final Model model;
    public final int threads;
    public final boolean xnnpack;
    public final double openMs;
    public final Timings preprocessing;
    public final Timings inference;
    public final Timings postprocessing;
    private final Runtime.Network network;
    private final ByteBuffer[] inputs;
    private final ByteBuffer[] outputs; // in the order of the file
    private final List<String> names; // the record's, of the file's outputs
    private List<TaskSpec> tasks; // the record's, but for thresholds that were changed

    /** What one image gave. */
    public static final class Result {
        public final List<Answer> answers; // of the record's tasks
        public final byte[] input; // the bytes of the input tensor
        public final Map<String, byte[]> outputs; // and of the outputs, in the order of the file
        private final Preprocessing steps;
        private final Picture picture;

        Result(List<Answer> answers, byte[] input, Map<String, byte[]> outputs, Preprocessing steps, Picture picture) {
            this.answers = answers;
            this.input = input;
            this.outputs = outputs;
            this.steps = steps;
            this.picture = picture;
        }

        /** What of the answers has a place and scores `least` or more, in pixels of the picture. */
        public List<Frame> frames(double least) {
            List<Frame> out = new ArrayList<Frame>();
            for (Answer answer : answers) {
                for (Frame one : answer.frames(least)) {
                    double[] sides = steps.boxBack(one.sides, picture.height, picture.width);
                    out.add(new Frame(sides, one.name, one.score, one.colour));
                }
            }
            return out;
        }

        /** The bytes of all outputs, one after the other. */
        public byte[] output() {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            for (byte[] one : outputs.values()) {
                out.write(one, 0, one.length);
            }
            return out.toByteArray();
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
        tasks = model.record.tasks;
        preprocessing = new Timings(window);
        inference = new Timings(window);
        postprocessing = new Timings(window);
        ByteBuffer file = ByteBuffer.allocateDirect(model.file.length).order(ByteOrder.nativeOrder());
        file.put(model.file).rewind();
        long from = System.nanoTime();
        network = runtime.open(file, threads, xnnpack);
        openMs = milliseconds(from, System.nanoTime());
        try {
            names = match();
        } catch (DemoException error) {
            network.close();
            throw error;
        }
        inputs = buffers(network.inputs());
        outputs = buffers(network.outputs());
    }

    /** The record's names of the file's outputs, in their order; every difference of record and file is an error. */
    private List<String> match() throws DemoException {
        List<String> wrong = new ArrayList<String>();
        if (network.inputs().size() == 1) {
            wrong.addAll(model.record.input.differences(network.inputs().get(0), "input"));
        } else {
            wrong.add("inputs: the record says 1, the file has " + network.inputs().size());
        }
        Map<String, Port> said = new LinkedHashMap<String, Port>();
        for (Port port : model.record.outputs) {
            said.put(port.name, port);
        }
        List<String> out = new ArrayList<String>();
        boolean alone = said.size() == 1 && network.outputs().size() == 1; // old records gave it a name of their own
        for (Port found : network.outputs()) {
            String name = alone ? said.keySet().iterator().next() : found.name;
            if (!said.containsKey(name)) {
                wrong.add("outputs: the record says " + said.keySet() + ", the file has " + name);
            } else {
                wrong.addAll(said.get(name).differences(found, alone ? "output" : "output " + name));
            }
            out.add(name);
        }
        if (wrong.isEmpty() && out.size() != said.size()) {
            wrong.add("outputs: the record says " + said.keySet() + ", the file has " + out);
        }
        if (wrong.isEmpty()) {
            return out;
        }
        StringBuilder text = new StringBuilder(model.name + ": record and file do not fit.");
        for (String one : wrong) {
            text.append('\n').append(one);
        }
        throw new DemoException(text.toString());
    }

    private static ByteBuffer[] buffers(List<Port> ports) {
        ByteBuffer[] out = new ByteBuffer[ports.size()];
        for (int i = 0; i < out.length; i++) {
            out[i] = ByteBuffer.allocateDirect(ports.get(i).bytes()).order(ByteOrder.nativeOrder());
        }
        return out;
    }

    /** Runs one picture and notes the time of each step. */
    public Result run(Picture picture) throws DemoException {
        long start = System.nanoTime();
        Preprocessing steps = model.record.preprocessing;
        Quantization.store(steps.normalize(steps.pixels(picture, model.tallFirst)), model.record.input, inputs[0]);
        long prepared = System.nanoTime();
        inputs[0].rewind();
        for (ByteBuffer output : outputs) {
            output.rewind();
        }
        network.run(inputs, outputs);
        long inferred = System.nanoTime();
        List<Answer> answers = answers(tasks, values());
        long done = System.nanoTime();
        preprocessing.add(milliseconds(start, prepared));
        inference.add(milliseconds(prepared, inferred));
        postprocessing.add(milliseconds(inferred, done));
        Map<String, byte[]> stored = new LinkedHashMap<String, byte[]>();
        for (int i = 0; i < outputs.length; i++) {
            stored.put(names.get(i), bytes(outputs[i]));
        }
        return new Result(answers, bytes(inputs[0]), stored, steps, picture);
    }

    private Map<String, Values> values() {
        Map<String, Values> out = new LinkedHashMap<String, Values>();
        for (int i = 0; i < outputs.length; i++) {
            Port port = network.outputs().get(i);
            out.put(names.get(i), new Values(port.sample(), Quantization.load(outputs[i], port)));
        }
        return out;
    }

    /** Changes a number of the tasks' `decode`, such as `iou_threshold`, for what is run from now on. */
    public void threshold(String key, double value) {
        List<TaskSpec> out = new ArrayList<TaskSpec>();
        for (TaskSpec task : tasks) {
            out.add(task.with(key, value));
        }
        tasks = out;
    }

    /** What outputs, by the record's names, say by tasks. */
    static List<Answer> answers(List<TaskSpec> tasks, Map<String, Values> outputs) {
        List<Answer> out = new ArrayList<Answer>();
        for (TaskSpec task : tasks) {
            out.add(task.decode(outputs));
        }
        return out;
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
