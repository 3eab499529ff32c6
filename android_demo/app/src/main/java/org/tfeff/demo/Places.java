package org.tfeff.demo;

import android.content.res.AssetManager;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import org.tfeff.demo.core.Shelf;

/** Where models lie: in the APK, or in a folder. */
final class Places {
    private Places() {}

    static final class Assets implements Shelf.Place {
        private final AssetManager assets;
        private final String folder;

        Assets(AssetManager assets, String folder) {
            this.assets = assets;
            this.folder = folder;
        }

        @Override
        public String title() {
            return "in the app";
        }

        @Override
        public String[] names() throws IOException {
            return assets.list(folder);
        }

        @Override
        public InputStream open(String name) throws IOException {
            return assets.open(folder + "/" + name);
        }
    }

    static final class Folder implements Shelf.Place {
        private final File folder;

        Folder(File folder) {
            this.folder = folder;
        }

        @Override
        public String title() {
            return "in " + folder;
        }

        @Override
        public String[] names() {
            return folder.list();
        }

        @Override
        public InputStream open(String name) throws IOException {
            return new FileInputStream(new File(folder, name));
        }
    }
}
