package org.tfeff.demo;

import android.Manifest;
import android.app.Activity;
import android.content.ActivityNotFoundException;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.SurfaceTexture;
import android.net.Uri;
import android.os.Bundle;
import android.util.Size;
import android.view.TextureView;
import android.view.View;
import java.io.IOException;
import java.io.InputStream;
import java.util.Collections;
import java.util.List;
import org.tfeff.demo.core.Bytes;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Picture;
import org.tfeff.demo.core.SelfTest;
import org.tfeff.demo.core.Session;
import org.tfeff.demo.core.Shelf;

/** Camera or picked image in, classes and times out. */
public class MainActivity extends Activity implements Engine.Listener, Screen.Listener {
    private static final int PICK = 1;
    private static final int CAMERA = 2;

    private Screen screen;
    private Engine engine;
    private Shelf shelf;
    private CameraFeed camera;
    private Bitmap frame;
    private boolean live; // the camera is the source, not a still image
    private boolean resumed;
    private Picture still; // shown again when the model changes
    private boolean testing; // the still image is the self-test's

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        DemoApplication app = (DemoApplication) getApplication();
        shelf = app.shelf();
        screen = new Screen(this, this);
        setContentView(screen.root);
        engine = new Engine(app.runtime(), shelf, this);
        camera = new CameraFeed(this, screen.preview, new CameraFeed.Listener() {
            @Override
            public void failed(String message) {
                screen.error(message);
            }
        });
        screen.preview.setSurfaceTextureListener(new Frames());
        rescan();
        if (camera.find() == null) {
            screen.noCamera(getString(R.string.no_camera));
        }
    }

    @Override
    protected void onResume() {
        super.onResume();
        resumed = true;
        if (live) {
            camera.start();
        }
    }

    @Override
    protected void onPause() {
        resumed = false;
        camera.stop();
        super.onPause();
    }

    @Override
    protected void onDestroy() {
        engine.close();
        super.onDestroy();
    }

    final Engine engine() {
        return engine;
    }

    @Override
    public void rescan() {
        List<String> names = shelf.names();
        screen.models(names);
        if (names.isEmpty()) {
            screen.error(getString(R.string.no_models, ((DemoApplication) getApplication()).pushed()));
        } else {
            settingsChanged();
        }
    }

    @Override
    public void settingsChanged() {
        if (screen.model() == null) {
            return;
        }
        screen.clear();
        engine.open(screen.model(), screen.beside(), screen.threadCount(), screen.xnnpack());
        if (testing) {
            selfTest();
        } else if (!live && still != null) {
            engine.run(still);
        }
    }

    @Override
    public void overlapChanged(double most) {
        engine.threshold(Thresholds.OVERLAP, most);
        if (testing) {
            selfTest();
        } else if (!live && still != null) {
            engine.run(still);
        }
    }

    @Override
    public void cameraWanted() {
        if (checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
            requestPermissions(new String[] {Manifest.permission.CAMERA}, CAMERA);
            return;
        }
        live = true;
        testing = false;
        screen.showCamera();
        if (resumed) {
            camera.start();
        }
    }

    @Override
    public void onRequestPermissionsResult(int code, String[] permissions, int[] results) {
        if (code == CAMERA && results.length > 0) {
            if (results[0] == PackageManager.PERMISSION_GRANTED) {
                cameraWanted();
            } else {
                screen.error(getString(R.string.camera_denied));
            }
        }
    }

    @Override
    public void pickWanted() {
        Intent intent = new Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*");
        try {
            startActivityForResult(intent, PICK);
        } catch (ActivityNotFoundException error) {
            screen.error("this device has no app that picks images");
        }
    }

    @Override
    protected void onActivityResult(int code, int result, Intent data) {
        if (code == PICK && result == RESULT_OK && data != null && data.getData() != null) {
            picked(data.getData());
        }
    }

    private void picked(Uri from) {
        try {
            InputStream in = getContentResolver().openInputStream(from);
            if (in == null) {
                throw new IOException("its app gives nothing");
            }
            still = Pictures.decode(Bytes.read(in), String.valueOf(from.getLastPathSegment()));
        } catch (IOException | SecurityException error) {
            screen.error("the image cannot be read: " + error.getMessage());
            return;
        } catch (DemoException error) {
            screen.error(error.getMessage());
            return;
        }
        stopCamera();
        testing = false;
        screen.showStill(Pictures.bitmap(still, 1024));
        engine.run(still);
    }

    @Override
    public void selfTestWanted() {
        if (screen.model() == null) {
            return;
        }
        stopCamera();
        testing = true;
        selfTest();
    }

    private void selfTest() {
        engine.selfTest(getString(R.string.no_self_test, screen.model()));
    }

    private void stopCamera() {
        live = false;
        camera.stop();
    }

    @Override
    public void opened(Session session) {
        screen.opened(session);
    }

    @Override
    public void ran(List<Engine.Run> runs, Picture shown) {
        screen.results(runs, shown);
    }

    @Override
    public void tested(Session session, SelfTest.Outcome outcome, Session.Result result, Picture shown) {
        screen.showStill(Pictures.bitmap(shown, 1024));
        screen.results(Collections.singletonList(new Engine.Run(session, result)), shown);
        screen.verdict(outcome.text, outcome.passed);
    }

    @Override
    public void failed(String message) {
        screen.error(message);
    }

    /** Hands a frame to the engine whenever it is idle. */
    private final class Frames implements TextureView.SurfaceTextureListener {
        @Override
        public void onSurfaceTextureAvailable(SurfaceTexture texture, int width, int height) {
            if (live && resumed) {
                camera.start();
            }
        }

        @Override
        public void onSurfaceTextureUpdated(SurfaceTexture texture) {
            if (!live || engine.busy()) {
                return;
            }
            Size size = camera.upright();
            if (frame == null || frame.getWidth() != size.getWidth() || frame.getHeight() != size.getHeight()) {
                frame = Bitmap.createBitmap(size.getWidth(), size.getHeight(), Bitmap.Config.ARGB_8888);
            }
            screen.preview.getBitmap(frame);
            engine.run(Pictures.of(frame));
        }

        @Override
        public void onSurfaceTextureSizeChanged(SurfaceTexture texture, int width, int height) {}

        @Override
        public boolean onSurfaceTextureDestroyed(SurfaceTexture texture) {
            camera.stop();
            return true;
        }
    }
}
