package org.tfeff.demo.core;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON text to Map, List, String, Double, Boolean and null, and back. Own code, since `org.json` is a framework class
 * and everything in this package runs on a plain Java machine.
 */
public final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** Reads one JSON value; throws DemoException with the place of the first thing that is not JSON. */
    public static Object parse(String text) throws DemoException {
        Json reader = new Json(text);
        Object value = reader.value(0);
        reader.space();
        if (reader.at < text.length()) {
            throw reader.wrong("text after the end");
        }
        return value;
    }

    private Object value(int depth) throws DemoException {
        space();
        if (depth > 200) {
            throw wrong("nested too deeply");
        }
        char c = at < text.length() ? text.charAt(at) : 0;
        switch (c) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            case 'N': // Python writes these three, though JSON has no name for them
                return word("NaN", Double.NaN);
            case 'I':
                return word("Infinity", Double.POSITIVE_INFINITY);
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) throws DemoException {
        Map<String, Object> map = new LinkedHashMap<String, Object>();
        at++;
        space();
        if (take('}')) {
            return map;
        }
        do {
            space();
            String key = string();
            space();
            need(':');
            map.put(key, value(depth + 1));
            space();
        } while (take(','));
        need('}');
        return map;
    }

    private List<Object> array(int depth) throws DemoException {
        List<Object> list = new ArrayList<Object>();
        at++;
        space();
        if (take(']')) {
            return list;
        }
        do {
            list.add(value(depth + 1));
            space();
        } while (take(','));
        need(']');
        return list;
    }

    private String string() throws DemoException {
        need('"');
        StringBuilder out = new StringBuilder();
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == '"') {
                return out.toString();
            }
            if (c == '\\') {
                c = escaped();
            } else if (c < ' ') {
                break;
            }
            out.append(c);
        }
        throw wrong("a string without an end");
    }

    private char escaped() throws DemoException {
        char c = at < text.length() ? text.charAt(at++) : 0;
        int known = "\"\\/bfnrt".indexOf(c);
        if (c != 0 && known >= 0) {
            return "\"\\/\b\f\n\r\t".charAt(known);
        }
        if (c == 'u' && at + 4 <= text.length()) {
            int code = 0;
            for (int end = at + 4; at < end; at++) {
                int digit = Character.digit(text.charAt(at), 16);
                if (digit < 0) {
                    throw wrong("a bad \\u escape");
                }
                code = code * 16 + digit;
            }
            return (char) code;
        }
        throw wrong("a bad escape");
    }

    private Object number() throws DemoException {
        if (text.startsWith("-Infinity", at)) {
            return word("-Infinity", Double.NEGATIVE_INFINITY);
        }
        int from = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        try {
            return Double.valueOf(text.substring(from, at));
        } catch (NumberFormatException error) {
            at = from;
            throw wrong("no JSON value");
        }
    }

    private Object word(String word, Object value) throws DemoException {
        if (!text.startsWith(word, at)) {
            throw wrong("no JSON value");
        }
        at += word.length();
        return value;
    }

    private void space() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private boolean take(char c) {
        boolean there = at < text.length() && text.charAt(at) == c;
        at += there ? 1 : 0;
        return there;
    }

    private void need(char c) throws DemoException {
        if (!take(c)) {
            throw wrong("'" + c + "' expected");
        }
    }

    private DemoException wrong(String what) {
        return new DemoException("not JSON at character " + at + " of " + text.length() + ": " + what);
    }

    /** Writes Map, Iterable, double[], String, Number, Boolean or null as JSON, two spaces a level. */
    public static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, "\n", out);
        return out.append('\n').toString();
    }

    private static void write(Object value, String line, StringBuilder out) {
        if (value instanceof Map) {
            String mark = "{";
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                out.append(mark).append(line).append("  ");
                quote(String.valueOf(entry.getKey()), out);
                out.append(": ");
                write(entry.getValue(), line + "  ", out);
                mark = ",";
            }
            out.append(mark.equals("{") ? "{}" : line + "}");
        } else if (value instanceof Iterable) {
            String mark = "[";
            for (Object one : (Iterable<?>) value) {
                out.append(mark);
                write(one, line, out);
                mark = ", ";
            }
            out.append(mark.equals("[") ? "[]" : "]");
        } else if (value instanceof double[]) {
            List<Double> list = new ArrayList<Double>();
            for (double one : (double[]) value) {
                list.add(one);
            }
            write(list, line, out);
        } else if (value instanceof String) {
            quote((String) value, out);
        } else if (value instanceof Double && (((Double) value).isNaN() || ((Double) value).isInfinite())) {
            out.append("null");
        } else {
            out.append(value);
        }
    }

    private static void quote(String text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
