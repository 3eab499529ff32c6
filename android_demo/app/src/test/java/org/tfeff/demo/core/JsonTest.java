package org.tfeff.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.Test;

public final class JsonTest {
    @Test
    public void readsEveryKindOfValue() throws Exception {
        Map<?, ?> map = (Map<?, ?>) Json.parse(" {\"a\": [1, -2.5e-3, true, false, null], \"b\": {}, \"c\": []} ");
        assertEquals(Arrays.asList(1.0, -0.0025, true, false, null), map.get("a"));
        assertEquals(0, ((Map<?, ?>) map.get("b")).size());
        assertEquals(0, ((List<?>) map.get("c")).size());
    }

    @Test
    public void readsEscapesAndOtherScripts() throws Exception {
        assertEquals("\"\\/\b\f\n\r\t\u00e9\ud83d\udc5f", Json.parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\udc5f\""));
        assertEquals("Stiefel \u00e4\u732b", Json.parse("\"Stiefel \u00e4\u732b\""));
    }

    @Test
    public void refusesWhatIsNoJsonAndSaysWhere() {
        String[] bad = {"", "{", "[1,]", "{\"a\" 1}", "\"a", "\"\\x\"", "\"\\u12g4\"", "tru", "1 2", "--1", "{a: 1}", "[1"};
        for (String text : bad) {
            try {
                Json.parse(text);
            } catch (DemoException error) {
                assertTrue(error.getMessage(), error.getMessage().startsWith("not JSON at character "));
                continue;
            }
            fail("taken: " + text);
        }
    }

    @Test(expected = DemoException.class)
    public void refusesNestingThatWouldOverflowTheStack() throws Exception {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 100000; i++) {
            text.append('[');
        }
        Json.parse(text.toString());
    }

    @Test
    public void writesTextThatItReadsBack() throws Exception {
        Map<String, Object> map = new LinkedHashMap<String, Object>();
        map.put("name", "a \"b\" \\ \n \u732b");
        map.put("list", new double[] {0.5, 2});
        map.put("none", null);
        map.put("nan", Double.NaN);
        map.put("empty", new LinkedHashMap<String, Object>());
        String text = Json.write(map);
        assertTrue(text, text.matches("\\p{ASCII}*"));
        Map<?, ?> back = (Map<?, ?>) Json.parse(text);
        assertEquals("a \"b\" \\ \n \u732b", back.get("name"));
        assertEquals(Arrays.asList(0.5, 2.0), back.get("list"));
        assertTrue(back.containsKey("none") && back.get("none") == null && back.get("nan") == null);
    }
}
