package org.tfeff.demo.core.tasks;

import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Values;

/** What outputs mean; the Java twin of a file in `tfeff/tasks`. A task is one file here, named in the list below. */
abstract class Task {
    private static final Task[] TASKS = {new Classification(), new Detection(), new Regression(), new Tensors()};

    /** As in the record's `tasks`. */
    abstract String name();

    /** Throws DemoException when the ports, those that the spec names, do not fit it. */
    abstract void check(TaskSpec spec, List<Port> ports) throws DemoException;

    /** From real numbers, by output, to the answer. */
    abstract Answer decode(Map<String, Values> outputs, TaskSpec spec);

    /** The task of a name; one that this app does not know shows its outputs as numbers. */
    static Task of(String name) {
        for (Task task : TASKS) {
            if (task.name().equals(name)) {
                return task;
            }
        }
        return TASKS[TASKS.length - 1];
    }
}
