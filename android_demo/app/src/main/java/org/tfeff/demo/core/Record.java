package org.tfeff.demo.core;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** What the app reads of an artifact's record, the `.json` beside the `.tflite` that `tfeff export` wrote. */
public final class Record {
    private static final int SCHEMA_VERSION = 1;

    public final String network;
    public final String precision;
    public final String sha256;
    public final TensorSpec input;
    public final TensorSpec output;
    public final Preprocessing preprocessing;
    public final List<String> labels; // empty when the record has none

    private Record(Map<?, ?> value) throws DemoException {
        if (Keys.number(value, "schema_version", "record") != SCHEMA_VERSION) {
            throw new DemoException("record.schema_version: this app reads " + SCHEMA_VERSION + ", found "
                    + value.get("schema_version"));
        }
        sha256 = Keys.string(value, "sha256", "record");
        Object preset = value.get("preset");
        network = preset instanceof String ? (String) preset : String.valueOf(value.get("network"));
        precision = String.valueOf(value.get("precision"));
        input = TensorSpec.read(value, "input");
        output = TensorSpec.read(value, "output");
        preprocessing = new Preprocessing(Keys.map(value, "preprocessing", "record"));
        labels = labels(value);
        check();
    }

    /** Reads a record and checks that its parts fit each other; throws DemoException naming the parts that do not. */
    public static Record parse(String json) throws DemoException {
        Object value = Json.parse(json);
        if (!(value instanceof Map)) {
            throw new DemoException("record: not a JSON object");
        }
        return new Record((Map<?, ?>) value);
    }

    private static List<String> labels(Map<?, ?> value) throws DemoException {
        if (value.get("labels") == null) {
            return Collections.emptyList();
        }
        List<String> out = new ArrayList<String>();
        for (Object one : Keys.list(value, "labels", "record")) {
            out.add(String.valueOf(one));
        }
        return out;
    }

    private void check() throws DemoException {
        Preprocessing steps = preprocessing;
        int[] shape = input.shape;
        if (shape.length != 4 || shape[0] != 1) {
            throw new DemoException("input.shape: the app runs one image (1, h, w, c), not " + input);
        }
        if (shape[1] != steps.height || shape[2] != steps.width || shape[3] != steps.channels) {
            throw new DemoException("the input is " + shape[1] + " x " + shape[2] + " x " + shape[3]
                    + ", preprocessing gives " + steps.height + " x " + steps.width + " x " + steps.channels);
        }
        if (!labels.isEmpty() && labels.size() != classes()) {
            throw new DemoException("the output has " + classes() + " classes, the record " + labels.size() + " labels");
        }
        if (output.elements() != classes()) {
            throw new DemoException("output.shape: the app shows classifiers, one list of scores, not " + output);
        }
    }

    public int classes() {
        return output.shape.length == 0 ? 1 : output.shape[output.shape.length - 1];
    }

    /** The label of a class, or its number where the record has none. */
    public String label(int index) {
        return labels.isEmpty() ? "class " + index : labels.get(index);
    }
}
