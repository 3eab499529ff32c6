package org.tfeff.demo.core;

import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** A record of schema 1 in the words of schema 2, as far as the app reads it; as `tfeff/record/upgrade.py` says it. */
final class Schema1 {
    private Schema1() {}

    static Map<?, ?> upgraded(Map<?, ?> old) throws DemoException {
        Map<Object, Object> out = new LinkedHashMap<Object, Object>(old);
        Map<Object, Object> input = port(old, "input", "image");
        input.put("preprocessing", old.get("preprocessing"));
        Map<Object, Object> output = port(old, "output", "logits");
        Map<Object, Object> task = new HashMap<Object, Object>();
        task.put("name", "classification");
        task.put("outputs", Collections.singletonList(output.get("name")));
        task.put("labels", old.get("labels"));
        task.put("decode", Collections.singletonMap("kind", "classes")); // whether logits or not it did not say
        out.put("schema_version", 2.0);
        out.put("inputs", Collections.singletonList(input));
        out.put("outputs", Collections.singletonList(output));
        out.put("tasks", Arrays.asList(task));
        return out;
    }

    private static Map<Object, Object> port(Map<?, ?> old, String side, String name) throws DemoException {
        Map<Object, Object> port = new LinkedHashMap<Object, Object>(Keys.map(old, side, "record"));
        if (!(port.get("name") instanceof String)) {
            port.put("name", name);
        }
        return port;
    }
}
