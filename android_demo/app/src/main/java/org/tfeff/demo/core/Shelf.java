package org.tfeff.demo.core;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/** The models to choose from: those in the app, and those pushed into a folder, which win over the app's of one name. */
public final class Shelf {
    private static final Charset UTF_8 = Charset.forName("UTF-8");
    private static final String SUFFIX = ".tflite";

    /** A place with files: the app's assets, or a folder. */
    public interface Place {
        /** For the screen and for errors. */
        String title();

        String[] names() throws IOException;

        InputStream open(String name) throws IOException;
    }

    private final Place[] places;

    /** @param places in order of rank, the first wins. */
    public Shelf(Place... places) {
        this.places = places;
    }

    /** Names of all models, sorted; read anew each time, so that a pushed file appears. */
    public List<String> names() {
        return new ArrayList<String>(find().keySet());
    }

    /** Reads a model; throws DemoException when it is not there, or its record is missing or does not fit. */
    public Model open(String name) throws DemoException {
        Place place = placeOf(name);
        byte[] file = read(place, name + SUFFIX);
        if (!has(place, name + ".json")) {
            throw new DemoException(name + SUFFIX + ": its record " + name + ".json is missing " + place.title()
                    + "; the app reads size, type, preprocessing and labels from it");
        }
        String test = name + ".selftest.json";
        boolean tallFirst = !has(place, test) || SelfTest.tallFirst(new String(read(place, test), UTF_8));
        return new Model(name, place.title(), file, new String(read(place, name + ".json"), UTF_8), tallFirst);
    }

    /** The expected bytes of a model's self-test, or null when there are none. */
    public SelfTest selfTest(Model model) throws DemoException {
        Place place = placeOf(model.name);
        String name = model.name + ".selftest.json";
        return has(place, name) ? new SelfTest(new String(read(place, name), UTF_8), model) : null;
    }

    /** The self-test's picture, a PNG file; null when there is none. */
    public byte[] selfTestPicture(Model model) throws DemoException {
        Place place = placeOf(model.name);
        String name = model.name + ".selftest.png";
        return has(place, name) ? read(place, name) : null;
    }

    private TreeMap<String, Place> find() {
        TreeMap<String, Place> out = new TreeMap<String, Place>();
        for (int i = places.length - 1; i >= 0; i--) {
            for (String name : list(places[i])) {
                if (name.endsWith(SUFFIX) && name.length() > SUFFIX.length() && !name.startsWith(".")) {
                    out.put(name.substring(0, name.length() - SUFFIX.length()), places[i]);
                }
            }
        }
        return out;
    }

    private Place placeOf(String name) throws DemoException {
        Place place = find().get(name);
        if (place == null) {
            throw new DemoException("no model '" + name + "'; there are: " + names());
        }
        return place;
    }

    private static boolean has(Place place, String name) {
        return list(place).contains(name);
    }

    private static List<String> list(Place place) {
        List<String> out = new ArrayList<String>();
        try {
            String[] names = place.names();
            for (int i = 0; names != null && i < names.length; i++) {
                out.add(names[i]);
            }
        } catch (IOException error) {
            return out; // a folder that cannot be listed holds no models
        }
        return out;
    }

    private static byte[] read(Place place, String name) throws DemoException {
        try {
            return Bytes.read(place.open(name));
        } catch (IOException error) {
            throw new DemoException(name + " cannot be read " + place.title() + " (" + error.getMessage() + ")");
        }
    }
}
