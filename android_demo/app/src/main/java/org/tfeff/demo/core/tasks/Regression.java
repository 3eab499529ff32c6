package org.tfeff.demo.core.tasks;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Values;

/** Outputs are numbers; see `tfeff/tasks/regression.py`. */
final class Regression extends Task {
    @Override
    String name() {
        return "regression";
    }

    @Override
    void check(TaskSpec spec, List<Port> ports) throws DemoException {
        if (ports.size() != 1) {
            throw new DemoException("task regression: reads one output, not " + ports.size());
        }
        if (!spec.labels.isEmpty() && spec.labels.size() != ports.get(0).elements()) {
            throw new DemoException("task regression: " + spec.labels.size() + " names for " + ports.get(0).elements()
                    + " values");
        }
    }

    @Override
    Answer decode(Map<String, Values> outputs, TaskSpec spec) {
        return new Figures(outputs.get(spec.outputs.get(0)).data, spec.labels);
    }

    /** The values, with names where they have any. */
    static final class Figures extends Answer {
        final double[] values;
        private final List<String> names;

        Figures(double[] values, List<String> names) {
            this.values = values;
            this.names = names;
        }

        @Override
        public List<Line> lines(double least) {
            List<Line> out = new ArrayList<Line>();
            for (int i = 0; i < values.length; i++) {
                String name = names.isEmpty() ? values.length == 1 ? "" : String.valueOf(i) : names.get(i);
                out.add(new Line((name + " " + Numbers.shortened(values[i])).trim(), Double.NaN));
            }
            return out;
        }

        @Override
        public boolean sameAs(Answer other) {
            return true;
        }
    }
}
