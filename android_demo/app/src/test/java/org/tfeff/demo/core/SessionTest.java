package org.tfeff.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.Test;
import org.tfeff.demo.core.tasks.Line;

public final class SessionTest {
    @Test
    public void runsAnImageFromPixelsToLabels() throws Exception {
        Samples.FakeRuntime runtime = new Samples.FakeRuntime();
        Session session = new Session(runtime, Samples.model(), 3, false, 10);
        Session.Result result = session.run(Samples.grey(9, 5, 90));
        assertEquals("11 bytes, 3 threads, false", runtime.opened);
        // (90 - 10) / 20 = 4, 4 / 0.5 - 3 = 5
        assertArrayEquals(new byte[] {5, 5, 5, 5}, runtime.fed);
        assertArrayEquals(runtime.fed, result.input);
        assertArrayEquals(new byte[] {0, 8, 12}, result.outputs.get("logits"));
        List<Line> lines = result.answers.get(0).lines();
        assertEquals("Ankle boot", lines.get(0).text);
        assertEquals("Bag", lines.get(1).text);
        // e^2 / (e^-1 + e + e^2)
        assertEquals(0.705385, lines.get(0).score, 1e-6);
        assertEquals(1, session.preprocessing.size());
        assertEquals(1, session.inference.size());
        assertEquals(1, session.postprocessing.size());
        session.close();
        assertEquals(1, runtime.closed);
    }

    @Test
    public void namesEveryDifferenceOfRecordAndFile() throws Exception {
        Samples.FakeRuntime runtime = new Samples.FakeRuntime();
        runtime.input = new Port("image", new int[] {1, 4, 4, 1}, "uint8", 0.5f, -3);
        runtime.outputs = Arrays.asList(new Port("logits", new int[] {1, 3}, "int8", 0.5f, 5));
        try {
            new Session(runtime, Samples.model(), 1, true, 10);
            fail("opened");
        } catch (DemoException error) {
            String text = error.getMessage();
            assertTrue(text, text.contains("input shape: the record says [1, 2, 2, 1], the file has [1, 4, 4, 1]"));
            assertTrue(text, text.contains("input type: the record says int8, the file has uint8"));
            assertTrue(text, text.contains("output scale: the record says 0.25, the file has 0.5"));
            assertTrue(text, text.contains("output zero point: the record says 4, the file has 5"));
        }
        assertEquals("closed after the refusal", 1, runtime.closed);
    }

    @Test
    public void recordsOfBeforeRunAsTheyDid() throws Exception {
        for (String name : new String[] {"'name': 'logits', ", ""}) { // some had no names
            String record = Samples.record1("'name': 'logits', ", name, "'name': 'image', ", "");
            Samples.FakeRuntime runtime = new Samples.FakeRuntime();
            runtime.outputs = Arrays.asList(new Port("StatefulPartitionedCall", new int[] {3}, "int8", 0.25f, 4));
            Session session = new Session(runtime, new Model("tiny", "in a test", Samples.FILE, record, true), 1, true, 10);
            Session.Result result = session.run(Samples.grey(2, 2, 90));
            Line first = result.answers.get(0).lines().get(0);
            assertEquals("Ankle boot", first.text);
            assertEquals(0.705385, first.score, 1e-6);
            assertEquals("[logits]", result.outputs.keySet().toString());
        }
    }

    /** They did not say whether the network ends in a softmax; numbers that are shares pass unchanged. */
    @Test
    public void sharesOfRecordsOfBeforeStayShares() throws Exception {
        Samples.FakeRuntime runtime = new Samples.FakeRuntime();
        runtime.answers.set(0, new byte[] {4, 5, 7}); // 0, 0.25 and 0.75
        Model old = new Model("tiny", "in a test", Samples.FILE, Samples.record1(), true);
        assertEquals(0.75, first(new Session(runtime, old, 1, true, 10)).score, 0);
        String said = "'scores': 'probabilities'";
        assertEquals(0.75, first(new Session(runtime, Samples.model("'scores': 'logits'", said), 1, true, 10)).score, 0);
        // e^0.75 / (1 + e^0.25 + e^0.75)
        assertEquals(0.481024, first(new Session(runtime, Samples.model(), 1, true, 10)).score, 1e-6);
    }

    private static Line first(Session session) throws DemoException {
        return session.run(Samples.grey(2, 2, 90)).answers.get(0).lines().get(0);
    }

    @Test
    public void outputsAreFoundByNameWhateverTheirOrder() throws Exception {
        Samples.FakeRuntime runtime = Samples.several();
        Model model = new Model("tiny", "in a test", Samples.FILE, Samples.severalRecord(), true);
        Session.Result result = new Session(runtime, model, 1, true, 10).run(Samples.grey(2, 2, 90));
        assertEquals(2, result.answers.size());
        assertEquals("age 31.5", result.answers.get(0).lines().get(0).text);
        assertEquals("ids [2]: 7e+04, -3", result.answers.get(1).lines().get(0).text);
        assertEquals("steps [2]: -1, 2", result.answers.get(1).lines().get(1).text);
        assertEquals("[ids, age, steps]", result.outputs.keySet().toString());
        assertEquals(8 + 4 + 2, result.output().length);
        assertArrayEquals(Samples.little(70000, -3), Arrays.copyOf(result.output(), 8));
    }

    @Test
    public void everyOutputOfSeveralIsCompared() throws Exception {
        Samples.FakeRuntime runtime = Samples.several();
        runtime.outputs = Arrays.asList(runtime.outputs.get(0), runtime.outputs.get(1),
                new Port("steps", new int[] {1, 2}, "int8", 0.5f, 4));
        String text = mismatch(runtime);
        assertTrue(text, text.contains("output steps scale: the record says 0.25, the file has 0.5"));
        runtime.outputs = Arrays.asList(runtime.outputs.get(0), runtime.outputs.get(1));
        text = mismatch(runtime);
        assertTrue(text, text.contains("outputs: the record says [age, steps, ids], the file has [ids, age]"));
        runtime.outputs = Arrays.asList(runtime.outputs.get(0), new Port("sex", new int[] {1, 1}, "float32", 0, 0));
        text = mismatch(runtime);
        assertTrue(text, text.contains("the file has sex"));
    }

    private static String mismatch(Samples.FakeRuntime runtime) throws DemoException {
        try {
            new Session(runtime, new Model("tiny", "in a test", Samples.FILE, Samples.severalRecord(), true), 1, true, 10);
            fail("opened");
            return "";
        } catch (DemoException error) {
            return error.getMessage();
        }
    }

    @Test
    public void storesAsNumpyRoundsAndClips() {
        float[] values = {0.25f, 0.75f, 1.25f, -0.25f, 1000, -1000, 0};
        ByteBuffer to = ByteBuffer.allocate(7);
        Quantization.store(values, new Port("x", new int[] {7}, "int8", 0.5f, 1), to);
        // numpy.round(values / 0.5) + 1: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, -0.5 -> 0
        assertArrayEquals(new byte[] {1, 3, 3, 1, 127, -128, 1}, to.array());
        Quantization.store(values, new Port("x", new int[] {7}, "uint8", 0.5f, 128), to);
        assertArrayEquals(new byte[] {(byte) 128, (byte) 130, (byte) 130, (byte) 128, (byte) 255, 0, (byte) 128}, to.array());
    }

    @Test
    public void loadsInt8Uint8AndFloat() {
        byte[] stored = {-128, -1, 0, 127};
        assertArrayEquals(new double[] {-65.5, -2, -1.5, 62},
                Quantization.load(ByteBuffer.wrap(stored), new Port("x", new int[] {1, 4}, "int8", 0.5f, 3)), 0);
        assertArrayEquals(new double[] {62.5, 126, -1.5, 62},
                Quantization.load(ByteBuffer.wrap(stored), new Port("x", new int[] {1, 4}, "uint8", 0.5f, 3)), 0);
        Port real = new Port("x", new int[] {1, 2}, "float32", 0, 0);
        ByteBuffer buffer = ByteBuffer.allocate(8).order(ByteOrder.nativeOrder());
        Quantization.store(new float[] {1.5f, -2}, real, buffer);
        assertArrayEquals(new double[] {1.5, -2}, Quantization.load(buffer, real), 0);
        buffer.putLong(0, 1L << 40);
        assertArrayEquals(new double[] {1L << 40}, Quantization.load(buffer, new Port("x", new int[] {1}, "int64", 0, 0)), 0);
    }

    @Test
    public void percentilesAreNumpys() {
        Timings timings = new Timings(4);
        for (double one : new double[] {100, 4, 1, 3, 2}) { // the first falls out of the window
            timings.add(one);
        }
        assertEquals(2.5, timings.median(), 1e-12); // numpy.percentile([4, 1, 3, 2], [50, 90])
        assertEquals(3.7, timings.p90(), 1e-12);
        assertArrayEquals(new double[] {4, 1, 3, 2}, timings.values(), 0);
        assertEquals(2, timings.last(), 0);
        assertTrue(Double.isNaN(new Timings(3).median()));
    }

    @Test
    public void modelsAreRefusedByNameAndReason() {
        String other = Samples.record(Bytes.sha256(Samples.FILE), "0123456789abcdef");
        refused(other, Samples.FILE, "written for another file", "0123456789ab");
        refused(Samples.record(), new byte[] {1, 2}, "not a TFLite file", "2 bytes");
        refused(Samples.record("'labels': ['Sandal', ", "'labels': ["), Samples.FILE, "3 values", "2 labels");
        refused(Samples.record("[1, 2, 2, 1]", "[1, 3, 2, 1]"), Samples.FILE, "the input is 3 x 2 x 1", "2 x 2 x 1");
        refused(Samples.record("'int8', 'scale': 0.25", "'int16', 'scale': 0.25"), Samples.FILE, "output.dtype", "int16");
        refused(Samples.record("'schema_version': 2", "'schema_version': 3"), Samples.FILE, "reads 1 and 2", "3");
        refused(Samples.record1("'input'", "'entrance'"), Samples.FILE, "record.input", "nothing");
        refused(Samples.record("[{'name': 'image'", "[{'name': 'other'}, {'name': 'image'"), Samples.FILE, "2 inputs", "one image");
        refused(Samples.record("'preprocessing': {", "'steps': {"), Samples.FILE, "input image int8 [1, 2, 2, 1]", "no image");
        refused(Samples.record("'outputs': ['logits']", "'outputs': ['boxes']"), Samples.FILE, "boxes", "[logits]");
        refused(Samples.record("'classes', ", "'ranking', "), Samples.FILE, "task.decode.kind", "ranking");
        refused(Samples.record("'classes', ", "'binary', "), Samples.FILE, "3 values", "binary");
        refused(Samples.record("[1, 3]", "[1, 2, 3]"), Samples.FILE, "one list of scores", "[1, 2, 3]");
        refused("{", Samples.FILE, "tiny.json", "not JSON");
    }

    private static void refused(String record, byte[] file, String... words) {
        try {
            new Model("tiny", "in a test", file, record, true);
        } catch (DemoException error) {
            for (String word : words) {
                assertTrue(error.getMessage(), error.getMessage().contains(word));
            }
            return;
        }
        fail("taken: " + record);
    }

    private static String expected(String input, String output) {
        return "{\"sha256\": \"" + Bytes.sha256(Samples.FILE) + "\", \"input_hex\": \"" + input + "\", \"output_hex\": \""
                + output + "\", \"max_steps\": 2, \"runtime\": \"a PC\"}";
    }

    private static SelfTest.Outcome test(String input, String output) throws DemoException {
        Samples.FakeRuntime runtime = new Samples.FakeRuntime();
        Session session = new Session(runtime, Samples.model(), 1, true, 10);
        SelfTest test = new SelfTest(expected(input, output), session.model);
        return test.compare(session.run(Samples.grey(2, 2, 90)));
    }

    @Test
    public void selfTestPassesOnEqualBytesAndOnAFewSteps() throws Exception {
        assertTrue(test("05050505", "00080c").passed);
        SelfTest.Outcome near = test("05050505", "01080e");
        assertTrue(near.text, near.passed);
        assertEquals(2, near.outputDiffering);
        assertEquals(2, near.maxDifference, 0);
    }

    @Test
    public void selfTestFailsOnAnyInputByteAndOnMoreSteps() throws Exception {
        SelfTest.Outcome input = test("05050506", "00080c");
        assertFalse(input.text, input.passed);
        assertTrue(input.text, input.text.contains("1 input bytes differ"));
        SelfTest.Outcome output = test("05050505", "00080f");
        assertFalse(output.text, output.passed);
        assertEquals(3, output.maxDifference, 0);
    }

    private static SelfTest.Outcome severalTest(String age, String steps, String ids) throws DemoException {
        Model model = new Model("tiny", "in a test", Samples.FILE, Samples.severalRecord(), true);
        Session session = new Session(Samples.several(), model, 1, true, 10);
        String text = expected("05050505", "").replace("\"output_hex\": \"\"", "\"output_hex\": {\"ids\": \"" + ids
                + "\", \"age\": \"" + age + "\", \"steps\": \"" + steps + "\"}");
        return new SelfTest(text, model).compare(session.run(Samples.grey(2, 2, 90)));
    }

    @Test
    public void selfTestComparesEveryOutputInItsOwnUnit() throws Exception {
        String age = Bytes.hex(Samples.little(Float.floatToIntBits(31.5f)));
        String near = Bytes.hex(Samples.little(Float.floatToIntBits(31.51f)));
        String far = Bytes.hex(Samples.little(Float.floatToIntBits(31.6f)));
        String nan = Bytes.hex(Samples.little(Float.floatToIntBits(Float.NaN)));
        String ids = Bytes.hex(Samples.little(70000, -3));
        String others = Bytes.hex(Samples.little(70000, -2));
        SelfTest.Outcome equal = severalTest(age, "000c", ids);
        assertTrue(equal.text, equal.passed && equal.outputDiffering == 0);
        assertTrue(severalTest(near, "020c", ids).passed);
        SelfTest.Outcome steps = severalTest(near, "000f", ids);
        assertFalse(steps.text, steps.passed);
        assertTrue(steps.text, steps.text.contains("2 output values differ, the farthest in steps, by up to 3.0"));
        assertTrue(severalTest(far, "000c", ids).text.startsWith("FAILED"));
        assertTrue(severalTest(nan, "000c", ids).text.startsWith("FAILED"));
        SelfTest.Outcome other = severalTest(age, "000c", others);
        assertTrue("integers that are no measurements must be equal", other.text.contains("farthest in ids"));
        assertFalse(other.text, other.passed);
        try {
            severalTest(age, "000c0c", ids);
            fail("taken");
        } catch (DemoException error) {
            assertTrue(error.getMessage(), error.getMessage().contains("3 bytes, the model gives 2 (steps)"));
        }
    }

    @Test
    public void selfTestOfAnotherFileIsRefused() throws Exception {
        String text = expected("05050505", "00080c").replace(Bytes.sha256(Samples.FILE), "ff");
        try {
            new SelfTest(text, Samples.model());
            fail("taken");
        } catch (DemoException error) {
            assertTrue(error.getMessage(), error.getMessage().contains("another file"));
        }
    }

    @Test
    public void benchmarkCountsOnlyTheTimedRuns() throws Exception {
        Samples.FakeRuntime runtime = new Samples.FakeRuntime();
        Model model = Samples.model();
        SelfTest test = new SelfTest(expected("05050505", "00080c"), model);
        Map<?, ?> out = new Benchmark("tiny", 2, true, 3, 7).run(runtime, model, Samples.grey(2, 2, 90), test);
        assertEquals(3 + 7, runtime.runs);
        assertEquals(1, runtime.closed);
        Map<?, ?> back = (Map<?, ?>) Json.parse(Json.write(out));
        assertEquals("ok", back.get("status"));
        assertEquals(model.record.sha256, back.get("sha256"));
        assertEquals(7.0, ((Map<?, ?>) back.get("inference")).get("runs"));
        assertEquals(7, ((List<?>) ((Map<?, ?>) back.get("inference")).get("all_ms")).size());
        assertEquals("00080c", back.get("output_hex"));
        assertEquals(true, ((Map<?, ?>) back.get("self_test")).get("passed"));
    }

    @Test
    public void benchmarkRefusesNumbersOutOfRange() {
        int[][] bad = {{0, 5, 5}, {65, 5, 5}, {1, -1, 5}, {1, 5, 0}, {1, 5, 10001}};
        for (int[] one : bad) {
            try {
                new Benchmark("tiny", one[0], true, one[1], one[2]);
            } catch (DemoException error) {
                assertTrue(error.getMessage(), error.getMessage().contains("is not within"));
                continue;
            }
            fail("taken");
        }
    }
}
