package org.tfeff.demo;

import android.content.Context;
import android.graphics.SurfaceTexture;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCaptureSession;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraDevice;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.CaptureRequest;
import android.hardware.camera2.params.StreamConfigurationMap;
import android.util.Size;
import android.view.Surface;
import android.view.TextureView;
import java.util.Collections;

/** Shows the back camera (or the only one) in a TextureView, 4:3. All calls and answers on the main thread. */
final class CameraFeed {
    private static final int MOST_PIXELS = 1280 * 960; // enough for every network; more only costs time

    interface Listener {
        void failed(String message);
    }

    private final CameraManager manager;
    private final TextureView view;
    private final Listener listener;
    private CameraDevice device;
    private boolean wanted;
    private Size size = new Size(640, 480);

    CameraFeed(Context context, TextureView view, Listener listener) {
        manager = (CameraManager) context.getSystemService(Context.CAMERA_SERVICE);
        this.view = view;
        this.listener = listener;
    }

    /** The id of the camera to use, or null when there is none. */
    String find() {
        try {
            String any = null;
            for (String id : manager.getCameraIdList()) {
                Integer facing = manager.getCameraCharacteristics(id).get(CameraCharacteristics.LENS_FACING);
                if (facing != null && facing == CameraCharacteristics.LENS_FACING_BACK) {
                    return id;
                }
                any = id;
            }
            return any;
        } catch (CameraAccessException | RuntimeException error) {
            return null;
        }
    }

    /** Height and width of an upright frame: a phone's sensor lies across its portrait screen. */
    Size upright() {
        return new Size(size.getHeight(), size.getWidth());
    }

    /** Starts; the permission must be there, and the view's surface. */
    void start() {
        wanted = true;
        if (device != null || !view.isAvailable()) {
            return;
        }
        try {
            String id = find();
            if (id == null) {
                listener.failed("no camera can be used");
                return;
            }
            size = choose(manager.getCameraCharacteristics(id).get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP));
            manager.openCamera(id, new Opening(), null);
        } catch (CameraAccessException | SecurityException | IllegalArgumentException error) {
            listener.failed("the camera cannot be opened: " + error.getMessage());
        }
    }

    void stop() {
        wanted = false;
        if (device != null) {
            device.close();
            device = null;
        }
    }

    private static Size choose(StreamConfigurationMap map) {
        Size best = new Size(640, 480); // every camera has it
        Size[] sizes = map == null ? null : map.getOutputSizes(SurfaceTexture.class);
        for (int i = 0; sizes != null && i < sizes.length; i++) {
            Size one = sizes[i];
            int pixels = one.getWidth() * one.getHeight();
            if (one.getWidth() * 3 == one.getHeight() * 4 && pixels <= MOST_PIXELS
                    && pixels > best.getWidth() * best.getHeight()) {
                best = one;
            }
        }
        return best;
    }

    private final class Opening extends CameraDevice.StateCallback {
        @Override
        public void onOpened(CameraDevice camera) {
            SurfaceTexture texture = view.getSurfaceTexture();
            if (!wanted || texture == null) {
                camera.close();
                return;
            }
            device = camera;
            texture.setDefaultBufferSize(size.getWidth(), size.getHeight());
            Surface surface = new Surface(texture);
            try {
                CaptureRequest.Builder request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW);
                request.addTarget(surface);
                camera.createCaptureSession(Collections.singletonList(surface), new Showing(request), null);
            } catch (CameraAccessException | IllegalStateException error) {
                onError(camera, CameraDevice.StateCallback.ERROR_CAMERA_DEVICE);
            }
        }

        @Override
        public void onDisconnected(CameraDevice camera) {
            stop();
            listener.failed("another app took the camera");
        }

        @Override
        public void onError(CameraDevice camera, int error) {
            camera.close();
            device = null;
            listener.failed("the camera stopped (error " + error + ")");
        }
    }

    private final class Showing extends CameraCaptureSession.StateCallback {
        private final CaptureRequest.Builder request;

        Showing(CaptureRequest.Builder request) {
            this.request = request;
        }

        @Override
        public void onConfigured(CameraCaptureSession session) {
            try {
                session.setRepeatingRequest(request.build(), null, null);
            } catch (CameraAccessException | IllegalStateException error) {
                listener.failed("the camera gives no frames: " + error.getMessage());
            }
        }

        @Override
        public void onConfigureFailed(CameraCaptureSession session) {
            listener.failed("the camera gives no frames of " + size);
        }
    }
}
