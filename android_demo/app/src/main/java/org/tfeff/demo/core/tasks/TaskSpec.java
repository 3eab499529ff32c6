package org.tfeff.demo.core.tasks;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Keys;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Values;

/** An entry of the record's `tasks`: what some outputs mean, and the numbers by which they become an answer. */
public final class TaskSpec {
    public final String name;
    public final List<String> outputs;
    public final List<String> labels; // empty where the record has none
    final Map<?, ?> decode;
    private final Task task;

    TaskSpec(String name, List<String> outputs, List<String> labels, Map<?, ?> decode) {
        this.name = name;
        this.outputs = Collections.unmodifiableList(outputs);
        this.labels = Collections.unmodifiableList(labels);
        this.decode = decode;
        task = Task.of(name);
    }

    /** Reads an entry and checks it against the outputs; throws DemoException for what does not fit. */
    public static TaskSpec read(Map<?, ?> value, Map<String, Port> ports) throws DemoException {
        String name = Keys.string(value, "name", "task");
        Map<?, ?> decode = value.get("decode") == null ? Collections.emptyMap()
                : Keys.object(value.get("decode"), "task.decode");
        TaskSpec spec = new TaskSpec(name, texts(value, "outputs"), texts(value, "labels"), decode);
        List<Port> named = new ArrayList<Port>();
        for (String output : spec.outputs) {
            if (!ports.containsKey(output)) {
                throw new DemoException("task " + name + ": reads the output '" + output + "', the record names "
                        + ports.keySet());
            }
            named.add(ports.get(output));
        }
        spec.task.check(spec, named);
        return spec;
    }

    /** Of outputs that nobody described. */
    public static TaskSpec numbers(List<String> outputs) {
        return new TaskSpec("tensors", outputs, Collections.<String>emptyList(), Collections.emptyMap());
    }

    /** The same with another value of one of the numbers of `decode`; the same itself where it has no such number. */
    public TaskSpec with(String key, double value) {
        if (!(decode.get(key) instanceof Double)) {
            return this;
        }
        Map<Object, Object> changed = new LinkedHashMap<Object, Object>(decode);
        changed.put(key, value);
        return new TaskSpec(name, outputs, labels, changed);
    }

    /** Whether `decode` says something by this name. */
    public boolean says(String key) {
        return decode.get(key) != null;
    }

    /** One of the numbers of `decode`; NaN without. */
    public double number(String key) {
        return decode.get(key) instanceof Double ? (Double) decode.get(key) : Double.NaN;
    }

    /** What the outputs say; all that `outputs` names must be there. */
    public Answer decode(Map<String, Values> outputs) {
        return task.decode(outputs, this);
    }

    /** A word of `decode`, one of those allowed; `otherwise` where it is not said. */
    String word(String key, String otherwise, String... allowed) throws DemoException {
        return decode.get(key) == null ? otherwise : Keys.oneOf(decode, key, "task.decode", allowed);
    }

    private static List<String> texts(Map<?, ?> value, String key) throws DemoException {
        List<String> out = new ArrayList<String>();
        if (value.get(key) != null) {
            for (Object one : Keys.list(value, key, "task")) {
                out.add(String.valueOf(one));
            }
        }
        return out;
    }
}
