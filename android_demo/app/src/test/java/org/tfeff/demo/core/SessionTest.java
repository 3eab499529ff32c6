package org.tfeff.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import org.junit.Test;

public final class SessionTest {
    @Test
    public void runsAnImageFromPixelsToLabels() throws Exception {
        Samples.FakeRuntime runtime = new Samples.FakeRuntime();
        Session session = new Session(runtime, Samples.model(), 3, false, 10);
        Session.Result result = session.run(Samples.grey(9, 5, 90), 2);
        assertEquals("11 bytes, 3 threads, false", runtime.opened);
        // (90 - 10) / 20 = 4, 4 / 0.5 - 3 = 5
        assertArrayEquals(new byte[] {5, 5, 5, 5}, runtime.fed);
        assertArrayEquals(runtime.fed, result.input);
        assertArrayEquals(new byte[] {0, 8, 12}, result.output);
        assertEquals("Ankle boot", session.model.record.label(result.top.get(0).index));
        assertEquals("Bag", session.model.record.label(result.top.get(1).index));
        assertEquals(2f, result.top.get(0).logit, 0);
        // e^2 / (e^-1 + e + e^2)
        assertEquals(0.705385f, result.top.get(0).score, 1e-5f);
        assertEquals(1, session.preprocessing.size());
        assertEquals(1, session.inference.size());
        assertEquals(1, session.postprocessing.size());
        session.close();
        assertEquals(1, runtime.closed);
    }

    @Test
    public void namesEveryDifferenceOfRecordAndFile() throws Exception {
        Samples.FakeRuntime runtime = new Samples.FakeRuntime();
        runtime.input = new TensorSpec(new int[] {1, 4, 4, 1}, "uint8", 0.5f, -3);
        runtime.output = new TensorSpec(new int[] {1, 3}, "int8", 0.5f, 5);
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
    public void storesAsNumpyRoundsAndClips() {
        float[] values = {0.25f, 0.75f, 1.25f, -0.25f, 1000, -1000, 0};
        ByteBuffer to = ByteBuffer.allocate(7);
        Quantization.store(values, new TensorSpec(new int[] {7}, "int8", 0.5f, 1), to);
        // numpy.round(values / 0.5) + 1: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, -0.5 -> 0
        assertArrayEquals(new byte[] {1, 3, 3, 1, 127, -128, 1}, to.array());
        Quantization.store(values, new TensorSpec(new int[] {7}, "uint8", 0.5f, 128), to);
        assertArrayEquals(new byte[] {(byte) 128, (byte) 130, (byte) 130, (byte) 128, (byte) 255, 0, (byte) 128}, to.array());
    }

    @Test
    public void loadsInt8Uint8AndFloat() {
        byte[] stored = {-128, -1, 0, 127};
        assertArrayEquals(new float[] {-65.5f, -2, -1.5f, 62},
                Quantization.load(ByteBuffer.wrap(stored), new TensorSpec(new int[] {1, 4}, "int8", 0.5f, 3)), 0);
        assertArrayEquals(new float[] {62.5f, 126, -1.5f, 62},
                Quantization.load(ByteBuffer.wrap(stored), new TensorSpec(new int[] {1, 4}, "uint8", 0.5f, 3)), 0);
        TensorSpec real = new TensorSpec(new int[] {1, 2}, "float32", 0, 0);
        ByteBuffer buffer = ByteBuffer.allocate(8).order(ByteOrder.nativeOrder());
        Quantization.store(new float[] {1.5f, -2}, real, buffer);
        assertArrayEquals(new float[] {1.5f, -2}, Quantization.load(buffer, real), 0);
    }

    @Test
    public void topKeepsTheOrderOfEqualOnesAndTakesSharesAsTheyAre() {
        List<Scores.Entry> top = Scores.top(new float[] {0.1f, 0.4f, 0.4f, 0.1f}, 9);
        assertEquals(4, top.size());
        assertEquals(1, top.get(0).index);
        assertEquals(2, top.get(1).index);
        assertEquals("already shares", 0.4f, top.get(0).score, 0);
        assertEquals("large logits do not overflow", 1f, Scores.softmax(new float[] {1000, 0})[0], 0);
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
        refused(Samples.record("'labels': ['Sandal', ", "'labels': ["), Samples.FILE, "3 classes", "2 labels");
        refused(Samples.record("[1, 2, 2, 1]", "[1, 3, 2, 1]"), Samples.FILE, "the input is 3 x 2 x 1", "2 x 2 x 1");
        refused(Samples.record("'int8', 'scale': 0.25", "'int16', 'scale': 0.25"), Samples.FILE, "output.dtype", "int16");
        refused(Samples.record("'schema_version': 1", "'schema_version': 2"), Samples.FILE, "schema_version", "2");
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
        return test.compare(session.run(Samples.grey(2, 2, 90), 3), session.model.record.output);
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
