package org.tfeff.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.junit.Test;

public final class ShelfTest {
    private static final class Held implements Shelf.Place {
        final Map<String, byte[]> files = new HashMap<String, byte[]>();
        final String title;

        Held(String title) {
            this.title = title;
        }

        @Override
        public String title() {
            return title;
        }

        @Override
        public String[] names() {
            return files.keySet().toArray(new String[0]);
        }

        @Override
        public InputStream open(String name) throws IOException {
            if (!files.containsKey(name)) {
                throw new FileNotFoundException(name);
            }
            return new ByteArrayInputStream(files.get(name));
        }

        void model(String name) {
            files.put(name + ".tflite", Samples.FILE);
            files.put(name + ".json", Samples.record().getBytes());
        }
    }

    private final Held pushed = new Held("in a folder");
    private final Held inside = new Held("in the app");
    private final Shelf shelf = new Shelf(pushed, inside);

    @Test
    public void listsBothPlacesAndPushedFilesAppear() throws Exception {
        inside.model("b");
        inside.files.put("notes.txt", new byte[0]);
        assertEquals(Arrays.asList("b"), shelf.names());
        pushed.model("a");
        assertEquals(Arrays.asList("a", "b"), shelf.names());
        assertEquals("in a folder", shelf.open("a").place);
    }

    @Test
    public void aPushedModelWinsOverOneOfItsNameInTheApp() throws Exception {
        inside.model("a");
        assertEquals("in the app", shelf.open("a").place);
        pushed.model("a");
        assertEquals("in a folder", shelf.open("a").place);
        assertEquals(1, shelf.names().size());
    }

    @Test
    public void missingRecordsAndUnknownNamesAreNamed() {
        inside.files.put("a.tflite", Samples.FILE);
        refused("a", "its record a.json is missing in the app");
        refused("c", "no model 'c'; there are: [a]");
    }

    @Test
    public void selfTestIsThatOfTheSamePlace() throws Exception {
        inside.model("a");
        assertNull(shelf.selfTest(shelf.open("a")));
        inside.files.put("a.selftest.json", ("{\"sha256\": \"" + Bytes.sha256(Samples.FILE)
                + "\", \"input_hex\": \"05050505\", \"output_hex\": \"00080c\", \"max_steps\": 2, \"runtime\": \"a PC\"}")
                .getBytes());
        inside.files.put("a.selftest.png", new byte[] {1});
        assertEquals(2, shelf.selfTest(shelf.open("a")).limit);
        assertTrue("as Pillow 13 where nothing is said", shelf.open("a").tallFirst);
        pushed.model("a"); // came without a self-test; the app's is of another model
        assertNull(shelf.selfTest(shelf.open("a")));
        assertNull(shelf.selfTestPicture(shelf.open("a")));
    }

    private void refused(String name, String words) {
        try {
            shelf.open(name);
        } catch (DemoException error) {
            assertTrue(error.getMessage(), error.getMessage().contains(words));
            return;
        }
        fail("opened");
    }
}
