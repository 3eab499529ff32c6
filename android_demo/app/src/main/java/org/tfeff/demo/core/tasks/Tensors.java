package org.tfeff.demo.core.tasks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Values;

/** Outputs that nobody described are shown as numbers; see `tfeff/tasks/tensors.py`. */
final class Tensors extends Task {
    private static final int SHOWN = 8; // values of each output

    @Override
    String name() {
        return "tensors";
    }

    @Override
    void check(TaskSpec spec, List<Port> ports) throws DemoException {
        if (ports.isEmpty()) {
            throw new DemoException("task " + spec.name + ": names no output");
        }
    }

    @Override
    Answer decode(Map<String, Values> outputs, TaskSpec spec) {
        Map<String, Values> named = new LinkedHashMap<String, Values>();
        for (String output : spec.outputs) {
            named.put(output, outputs.get(output));
        }
        return new Outputs(named);
    }

    /** The outputs themselves. */
    static final class Outputs extends Answer {
        final Map<String, Values> outputs;

        Outputs(Map<String, Values> outputs) {
            this.outputs = outputs;
        }

        @Override
        public List<Line> lines(double least) {
            List<Line> out = new ArrayList<Line>();
            for (Map.Entry<String, Values> one : outputs.entrySet()) {
                double[] data = one.getValue().data;
                StringBuilder text = new StringBuilder(one.getKey() + " "
                        + Arrays.toString(one.getValue().shape) + ": ");
                for (int i = 0; i < Math.min(SHOWN, data.length); i++) {
                    text.append(i == 0 ? "" : ", ").append(Numbers.shortened(data[i]));
                }
                out.add(new Line(text + (data.length > SHOWN ? ", ..." : ""), Double.NaN));
            }
            return out;
        }

        @Override
        public boolean sameAs(Answer other) {
            return true;
        }
    }
}
