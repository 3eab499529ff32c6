package org.tfeff.demo.core;

import java.util.LinkedHashMap;
import java.util.Map;

/** What the headless intent runs: warm-up, timed runs, the self-test where there is one; the answer as JSON. */
public final class Benchmark {
    public static final int SCHEMA_VERSION = 1;

    public final String model;
    public final int threads;
    public final boolean xnnpack;
    public final int warmup;
    public final int runs;

    /** Throws DemoException for a number out of range. */
    public Benchmark(String model, int threads, boolean xnnpack, int warmup, int runs) throws DemoException {
        this.model = model;
        this.threads = within("threads", threads, 1, 64);
        this.xnnpack = xnnpack;
        this.warmup = within("warmup", warmup, 0, 10000);
        this.runs = within("runs", runs, 1, 10000);
    }

    private static int within(String name, int value, int low, int high) throws DemoException {
        if (value < low || value > high) {
            throw new DemoException(name + ": " + value + " is not within " + low + " .. " + high);
        }
        return value;
    }

    /**
     * Runs a model on one picture.
     *
     * @param test the expected bytes, or null where the model came without.
     * @return the figures: see docs/android-demo.md.
     */
    public Map<String, Object> run(Runtime runtime, Model of, Picture picture, SelfTest test) throws DemoException {
        Session session = new Session(runtime, of, threads, xnnpack, runs);
        try {
            Session.Result result = session.run(picture);
            double first = session.inference.last();
            for (int i = 1; i < warmup; i++) {
                session.run(picture);
            }
            Map<String, Object> out = new LinkedHashMap<String, Object>();
            out.put("schema_version", SCHEMA_VERSION);
            out.put("status", "ok");
            out.put("model", of.name);
            out.put("sha256", of.record.sha256);
            out.put("runtime", runtime.name());
            out.put("threads", threads);
            out.put("xnnpack", xnnpack);
            out.put("warmup", warmup);
            out.put("open_ms", session.openMs);
            out.put("first_inference_ms", first);
            for (int i = 0; i < runs; i++) { // the window holds `runs`, so these push the warm-up out
                session.run(picture);
            }
            out.put("preprocessing", session.preprocessing.summary());
            out.put("inference", session.inference.summary());
            out.put("postprocessing", session.postprocessing.summary());
            out.put("input_sha256", Bytes.sha256(result.input));
            out.put("output_hex", Bytes.hex(result.output()));
            out.put("self_test", test == null ? null : test.compare(result).summary());
            return out;
        } finally {
            session.close();
        }
    }

    /** The answer when nothing was measured. */
    public static Map<String, Object> failure(String model, String error) {
        Map<String, Object> out = new LinkedHashMap<String, Object>();
        out.put("schema_version", SCHEMA_VERSION);
        out.put("status", "error");
        out.put("model", model);
        out.put("error", error);
        return out;
    }
}
