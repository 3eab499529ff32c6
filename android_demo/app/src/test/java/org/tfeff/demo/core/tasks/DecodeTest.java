package org.tfeff.demo.core.tasks;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.FileInputStream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.Test;
import org.tfeff.demo.core.Bytes;
import org.tfeff.demo.core.Json;
import org.tfeff.demo.core.Keys;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Values;

/** What the app makes of outputs is what Python makes of them: tests/support/decode_vectors.json, from `tfeff.tasks`. */
public final class DecodeTest {
    private static List<?> vectors() throws Exception {
        String path = System.getProperty("tfeff.vectors");
        assertTrue("-Dtfeff.vectors=.../decode_vectors.json", path != null);
        return (List<?>) Json.parse(new String(Bytes.read(new FileInputStream(path)), "UTF-8"));
    }

    @Test
    public void answersArePythons() throws Exception {
        assertTrue(vectors().size() > 20);
        for (Object one : vectors()) {
            Map<?, ?> vector = (Map<?, ?>) one;
            String name = Keys.string(vector, "name", "vector");
            Map<String, Values> outputs = new LinkedHashMap<String, Values>();
            Map<String, Port> ports = new LinkedHashMap<String, Port>();
            for (Map.Entry<?, ?> output : ((Map<?, ?>) vector.get("outputs")).entrySet()) {
                Map<?, ?> value = (Map<?, ?>) output.getValue();
                String port = (String) output.getKey();
                double[] data = numbers((List<?>) value.get("values"));
                outputs.put(port, new Values(sizes((List<?>) value.get("shape"), false), data));
                ports.put(port, new Port(port, sizes((List<?>) value.get("shape"), true), "float32", 0, 0));
            }
            TaskSpec spec = TaskSpec.read((Map<?, ?>) vector.get("task"), ports);
            Answer answer = spec.decode(outputs);
            check(name, vector.get("decoded"), answer);
            List<?> expected = (List<?>) vector.get("lines");
            List<Line> lines = answer.lines();
            assertEquals(name, expected.size(), lines.size());
            for (int i = 0; i < lines.size(); i++) {
                List<?> line = (List<?>) expected.get(i);
                assertEquals(name, line.get(0), lines.get(i).text);
                assertEquals(name, line.get(1) != null, lines.get(i).hasScore());
                if (line.get(1) != null) {
                    same(name, (Double) line.get(1), lines.get(i).score);
                }
            }
            assertTrue(name, answer.sameAs(spec.decode(outputs)));
        }
    }

    private static void check(String name, Object expected, Answer answer) {
        if (answer instanceof Classification.Classes) {
            Classification.Classes classes = (Classification.Classes) answer;
            same(name, numbers((List<?>) ((Map<?, ?>) expected).get("scores")), classes.scores);
            List<?> chosen = (List<?>) ((Map<?, ?>) expected).get("chosen");
            for (int i = 0; i < classes.chosen.length; i++) {
                assertEquals(name, chosen.get(i), classes.chosen[i]);
            }
        } else if (answer instanceof Detection.Boxes) {
            List<Box> boxes = ((Detection.Boxes) answer).boxes;
            double[] sides = new double[4 * boxes.size()];
            double[] classes = new double[boxes.size()];
            double[] scores = new double[boxes.size()];
            for (int i = 0; i < boxes.size(); i++) {
                System.arraycopy(boxes.get(i).sides, 0, sides, 4 * i, 4);
                classes[i] = boxes.get(i).number;
                scores[i] = boxes.get(i).score;
            }
            same(name, numbers((List<?>) ((Map<?, ?>) expected).get("boxes")), sides);
            same(name, numbers((List<?>) ((Map<?, ?>) expected).get("classes")), classes);
            same(name, numbers((List<?>) ((Map<?, ?>) expected).get("scores")), scores);
        } else if (answer instanceof Regression.Figures) {
            same(name, numbers((List<?>) expected), ((Regression.Figures) answer).values);
        } else {
            Map<String, Values> outputs = ((Tensors.Outputs) answer).outputs;
            assertEquals(name, ((Map<?, ?>) expected).keySet(), outputs.keySet());
            for (Map.Entry<String, Values> one : outputs.entrySet()) {
                same(name, numbers((List<?>) ((Map<?, ?>) expected).get(one.getKey())), one.getValue().data);
            }
        }
    }

    /** Equal but for the last digits of exponentials, which libraries compute differently. */
    private static void same(String name, double[] expected, double[] found) {
        assertEquals(name, expected.length, found.length);
        for (int i = 0; i < found.length; i++) {
            same(name, expected[i], found[i]);
        }
    }

    private static void same(String name, double expected, double found) {
        assertEquals(name, expected, found, 1e-15 + 1e-12 * Math.abs(expected));
    }

    private static double[] numbers(List<?> values) {
        double[] out = new double[values.size()];
        for (int i = 0; i < out.length; i++) {
            out[i] = (Double) values.get(i);
        }
        return out;
    }

    private static int[] sizes(List<?> shape, boolean batch) {
        int[] out = new int[shape.size() + (batch ? 1 : 0)];
        java.util.Arrays.fill(out, 1);
        for (int i = 0; i < shape.size(); i++) {
            out[i + (batch ? 1 : 0)] = ((Double) shape.get(i)).intValue();
        }
        return out;
    }

    @Test
    public void boxesThatDifferAreSeen() {
        List<String> none = java.util.Collections.emptyList();
        Box one = new Box(new double[] {0, 0, 10, 10}, 0, 0.9);
        Box near = new Box(new double[] {0, 0, 10, 9.5}, 0, 0.29);
        Box far = new Box(new double[] {0, 0, 10, 8}, 0, 0.9);
        Box renamed = new Box(new double[] {0, 0, 10, 10}, 1, 0.9);
        Detection.Boxes first = new Detection.Boxes(java.util.Arrays.asList(one), none);
        assertTrue(first.sameAs(new Detection.Boxes(java.util.Arrays.asList(near), none)));
        assertTrue(!first.sameAs(new Detection.Boxes(java.util.Arrays.asList(far), none)));
        assertTrue(!first.sameAs(new Detection.Boxes(java.util.Arrays.asList(renamed), none)));
        assertTrue(!first.sameAs(new Detection.Boxes(java.util.Arrays.asList(one, renamed), none)));
        Box nowhere = new Box(new double[] {0, Double.NaN, 10, 10}, 0, 0.9);
        Detection.Boxes lost = new Detection.Boxes(java.util.Arrays.asList(nowhere), none);
        assertTrue(lost.sameAs(lost));
        assertTrue(lost.frames(0.1).isEmpty());
        assertEquals("nothing found", new Detection.Boxes(java.util.Arrays.asList(near), none).lines().get(0).text);
    }

    @Test
    public void answersThatDifferAreSeen() {
        Map<String, Values> one = new LinkedHashMap<String, Values>();
        Map<String, Values> other = new LinkedHashMap<String, Values>();
        one.put("x", new Values(new int[] {2}, new double[] {1, 2}));
        other.put("x", new Values(new int[] {2}, new double[] {2, 1}));
        java.util.List<String> x = java.util.Collections.singletonList("x");
        java.util.List<String> none = java.util.Collections.emptyList();
        Map<?, ?> nothing = java.util.Collections.emptyMap();
        TaskSpec classes = new TaskSpec("classification", x, none, nothing);
        assertTrue(!classes.decode(one).sameAs(classes.decode(other)));
        TaskSpec unknown = new TaskSpec("dreaming", x, none, nothing);
        assertEquals("a task that this app does not know", "x [2]: 1, 2", unknown.decode(one).lines().get(0).text);
        assertArrayEquals(new double[] {1, 2}, ((Tensors.Outputs) unknown.decode(one)).outputs.get("x").data, 0);
    }
}
