package org.tfeff.demo.core;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.tasks.TaskSpec;

/** What the app reads of an artifact's record, the `.json` beside the `.tflite` that `tfeff export` wrote. */
public final class Record {
    private static final int SCHEMA_VERSION = 2;

    public final String network;
    public final String precision;
    public final String sha256;
    public final Port input; // the one image
    public final List<Port> outputs;
    public final List<TaskSpec> tasks; // at least one
    public final Preprocessing preprocessing; // of the image

    private Record(Map<?, ?> value) throws DemoException {
        sha256 = Keys.string(value, "sha256", "record");
        Object preset = value.get("preset");
        network = preset instanceof String ? (String) preset : String.valueOf(value.get("network"));
        precision = String.valueOf(value.get("precision"));
        List<?> inputs = Keys.list(value, "inputs", "record");
        if (inputs.size() != 1) {
            throw new DemoException("the model has " + inputs.size() + " inputs, the app runs models that take one image");
        }
        Map<?, ?> image = Keys.object(inputs.get(0), "record.inputs");
        input = Port.read(image, "input");
        if (image.get("preprocessing") == null) {
            throw new DemoException("the input " + input + " has no preprocessing, so it is no image; the app runs models"
                    + " that take one image");
        }
        preprocessing = new Preprocessing(Keys.map(image, "preprocessing", "input"));
        List<Port> ports = new ArrayList<Port>();
        for (Object one : Keys.list(value, "outputs", "record")) {
            ports.add(Port.read(Keys.object(one, "record.outputs"), "output"));
        }
        outputs = Collections.unmodifiableList(ports);
        checkImage();
        tasks = Collections.unmodifiableList(tasks(value));
    }

    /** Reads a record and checks that its parts fit each other; throws DemoException naming the parts that do not. */
    public static Record parse(String json) throws DemoException {
        Map<?, ?> value = Keys.object(Json.parse(json), "record");
        double version = Keys.number(value, "schema_version", "record");
        if (version != 1 && version != SCHEMA_VERSION) {
            throw new DemoException("record.schema_version: this app reads 1 and " + SCHEMA_VERSION + ", found "
                    + value.get("schema_version"));
        }
        return new Record(version == 1 ? Schema1.upgraded(value) : value);
    }

    private void checkImage() throws DemoException {
        Preprocessing steps = preprocessing;
        int[] shape = input.shape;
        if (shape.length != 4 || shape[0] != 1) {
            throw new DemoException("input.shape: the app runs one image (1, h, w, c), not " + input);
        }
        if (shape[1] != steps.height || shape[2] != steps.width || shape[3] != steps.channels) {
            throw new DemoException("the input is " + shape[1] + " x " + shape[2] + " x " + shape[3]
                    + ", preprocessing gives " + steps.height + " x " + steps.width + " x " + steps.channels);
        }
        if (outputs.isEmpty()) {
            throw new DemoException("record.outputs: names no output");
        }
    }

    private List<TaskSpec> tasks(Map<?, ?> value) throws DemoException {
        Map<String, Port> ports = new LinkedHashMap<String, Port>();
        for (Port port : outputs) {
            ports.put(port.name, port);
        }
        List<TaskSpec> out = new ArrayList<TaskSpec>();
        if (value.get("tasks") != null) {
            for (Object one : Keys.list(value, "tasks", "record")) {
                out.add(TaskSpec.read(Keys.object(one, "record.tasks"), ports));
            }
        }
        if (out.isEmpty()) { // nobody said what the outputs mean
            out.add(TaskSpec.numbers(new ArrayList<String>(ports.keySet())));
        }
        return out;
    }
}
