package org.tfeff.demo;

import android.app.Application;
import java.io.File;
import org.tfeff.demo.core.Runtime;
import org.tfeff.demo.core.Shelf;

/** What the screens share: the runtime, and where the models lie. */
public class DemoApplication extends Application {
    /** The runtime; tests on a plain Java machine, which cannot load Android's libraries, give another. */
    protected Runtime createRuntime() {
        return new LiteRuntime();
    }

    final Runtime runtime() {
        return createRuntime();
    }

    /** Where models are pushed: the app's own folder on the shared storage, which adb may write to. */
    final File pushed() {
        return folder("models");
    }

    /** Where the benchmark intent writes its JSON. */
    final File benchmarks() {
        return folder("benchmarks");
    }

    final Shelf shelf() {
        return new Shelf(new Places.Folder(pushed()), new Places.Assets(getAssets(), "models"));
    }

    private File folder(String name) {
        File base = getExternalFilesDir(null);
        File folder = new File(base != null ? base : getFilesDir(), name); // null while no shared storage is mounted
        folder.mkdirs();
        // Since Android 11 these are true permissions, and some phones make folders that adb's user cannot enter. The
        // folders above this one are closed to other apps.
        folder.setReadable(true, false);
        folder.setWritable(true, false);
        folder.setExecutable(true, false);
        return folder;
    }
}
