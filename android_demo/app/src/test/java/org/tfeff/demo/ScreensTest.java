package org.tfeff.demo;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.content.ComponentName;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.net.Uri;
import android.os.Looper;
import android.view.View;
import android.view.ViewGroup;
import android.widget.Button;
import android.widget.SeekBar;
import android.widget.Spinner;
import android.widget.Switch;
import android.widget.TextView;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.nio.file.Files;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.tfeff.demo.core.Bytes;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Json;
import org.tfeff.demo.core.Picture;
import org.tfeff.demo.core.Runtime;
import org.tfeff.demo.core.Samples;

/** The screens on a plain Java machine, drawn by Android's own graphics; a picture of each lands in `tfeff.screens`. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = 35, application = ScreensTest.TestApplication.class, qualifiers = "w393dp-h851dp-xhdpi")
public final class ScreensTest {
    /** The app with a runtime that a plain Java machine can run. */
    public static final class TestApplication extends DemoApplication {
        final Samples.FakeRuntime fake = new Samples.FakeRuntime();

        @Override
        protected Runtime createRuntime() {
            return fake;
        }
    }

    private TestApplication app;

    @Before
    public void findApplication() {
        app = (TestApplication) RuntimeEnvironment.getApplication();
    }

    private void push(String name, byte[] content) throws Exception {
        try (FileOutputStream out = new FileOutputStream(new File(app.pushed(), name))) {
            out.write(content);
        }
    }

    private void pushModel(String name, String... changes) throws Exception {
        push(name + ".tflite", Samples.FILE);
        push(name + ".json", Samples.record(changes).getBytes("UTF-8"));
    }

    private void pushSelfTest(String name, String output) throws Exception {
        push(name + ".selftest.json", ("{\"sha256\": \"" + Bytes.sha256(Samples.FILE)
                + "\", \"input_hex\": \"05050505\", \"output_hex\": \"" + output
                + "\", \"max_steps\": 2, \"runtime\": \"a PC\"}").getBytes("UTF-8"));
        push(name + ".selftest.png", png(90));
    }

    /** 3 x 3 grey pixels. */
    private static byte[] png(int value) {
        Bitmap bitmap = Bitmap.createBitmap(3, 3, Bitmap.Config.ARGB_8888);
        bitmap.eraseColor(0xff000000 | value << 16 | value << 8 | value);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        bitmap.compress(Bitmap.CompressFormat.PNG, 100, out);
        return out.toByteArray();
    }

    private static void settle(MainActivity activity) {
        for (int i = 0; i < 3; i++) { // the engine answers to the main thread, which may ask the engine again
            shadowOf(Looper.getMainLooper()).idle();
            shadowOf(activity.engine().looper()).idle();
        }
        shadowOf(Looper.getMainLooper()).idle();
    }

    private MainActivity open() {
        MainActivity activity = Robolectric.buildActivity(MainActivity.class).setup().get();
        settle(activity);
        return activity;
    }

    private static void click(MainActivity activity, int text) {
        Button button = find(activity.getWindow().getDecorView(), Button.class, activity.getString(text));
        assertNotNull(activity.getString(text), button);
        button.performClick();
        settle(activity);
    }

    /** The first view of a kind that shows `text`; any where it is null. */
    private static <T extends View> T find(View in, Class<T> kind, String text) {
        if (kind.isInstance(in) && (text == null || ((TextView) in).getText().toString().equals(text))) {
            return kind.cast(in);
        }
        for (int i = 0; in instanceof ViewGroup && i < ((ViewGroup) in).getChildCount(); i++) {
            T found = find(((ViewGroup) in).getChildAt(i), kind, text);
            if (found != null) {
                return found;
            }
        }
        return null;
    }

    /** All that the screen says, contents of drawn views included. */
    private static String words(View in) {
        StringBuilder out = new StringBuilder();
        if (in instanceof TextView) {
            out.append(((TextView) in).getText()).append('\n');
        } else if (in.getContentDescription() != null) {
            out.append(in.getContentDescription()).append('\n');
        }
        for (int i = 0; in instanceof ViewGroup && i < ((ViewGroup) in).getChildCount(); i++) {
            out.append(words(((ViewGroup) in).getChildAt(i)));
        }
        return out.toString();
    }

    private static String words(Activity activity) {
        return words(activity.getWindow().getDecorView());
    }

    private static void shows(Activity activity, String... parts) {
        String all = words(activity);
        for (String part : parts) {
            assertTrue("'" + part + "' in:\n" + all, all.contains(part));
        }
    }

    private static void picture(Activity activity, String name) throws Exception {
        View view = activity.getWindow().getDecorView();
        int width = View.MeasureSpec.makeMeasureSpec(786, View.MeasureSpec.EXACTLY);
        int height = View.MeasureSpec.makeMeasureSpec(1702, View.MeasureSpec.EXACTLY);
        view.measure(width, height);
        view.layout(0, 0, 786, 1702);
        Bitmap bitmap = Bitmap.createBitmap(786, 1702, Bitmap.Config.ARGB_8888);
        view.draw(new Canvas(bitmap));
        int first = bitmap.getPixel(0, 0);
        boolean blank = true;
        for (int y = 0; y < 1702; y += 3) {
            for (int x = 0; x < 786; x += 3) {
                blank &= bitmap.getPixel(x, y) == first;
            }
        }
        assertFalse("a blank screen", blank);
        String folder = System.getProperty("tfeff.screens");
        if (folder != null) {
            new File(folder).mkdirs();
            try (FileOutputStream out = new FileOutputStream(new File(folder, name + ".png"))) {
                bitmap.compress(Bitmap.CompressFormat.PNG, 100, out);
            }
        }
    }

    @Test
    public void withoutModelsItSaysWhereToPushThem() throws Exception {
        MainActivity activity = open();
        shows(activity, "No models", app.pushed().getPath());
        picture(activity, "no-models");
    }

    @Test
    public void aPushedModelAppearsWithoutARebuild() throws Exception {
        MainActivity activity = open();
        pushModel("tiny");
        click(activity, R.string.rescan);
        assertEquals("tiny", find(activity.getWindow().getDecorView(), Spinner.class, null).getSelectedItem());
        shows(activity, "tiny.shoes", "image int8 [1, 2, 2, 1], scale 0.5, zero point -3", "exact to 2 x 2",
                "logits int8 [1, 3], scale 0.25, zero point 4");
        assertEquals("11 bytes, 1 threads, true", app.fake.opened);
    }

    @Test
    public void aPickedImageGivesClassesAndTimes() throws Exception {
        pushModel("tiny");
        MainActivity activity = open();
        click(activity, R.string.pick);
        Intent asked = shadowOf(activity).getNextStartedActivity();
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.getAction());
        Uri uri = Uri.parse("content://pictures/boot.png");
        shadowOf(activity.getContentResolver()).registerInputStream(uri, new ByteArrayInputStream(png(90)));
        shadowOf(activity).receiveResult(asked, Activity.RESULT_OK, new Intent().setData(uri));
        settle(activity);
        assertArrayEquals(new byte[] {5, 5, 5, 5}, app.fake.fed);
        shows(activity, "Ankle boot 70.5 %", "Bag 25.9 %", "prepare", "inference", "answer", "median", "p90");
        assertEquals("no boxes, and no sliders for them", "", boxes(activity));
        assertEquals(View.GONE, ((View) bar(activity, 0).getParent()).getVisibility());
        picture(activity, "picked");
    }

    private void pick(MainActivity activity) {
        click(activity, R.string.pick);
        Intent asked = shadowOf(activity).getNextStartedActivity();
        Uri uri = Uri.parse("content://pictures/boot.png");
        shadowOf(activity.getContentResolver()).registerInputStream(uri, new ByteArrayInputStream(png(90)));
        shadowOf(activity).receiveResult(asked, Activity.RESULT_OK, new Intent().setData(uri));
        settle(activity);
    }

    @Test
    public void aModelOfSeveralTasksShowsEach() throws Exception {
        Samples.several(app.fake);
        push("tiny.tflite", Samples.FILE);
        push("tiny.json", Samples.severalRecord().getBytes("UTF-8"));
        MainActivity activity = open();
        shows(activity, "age float32 [1, 1]", "steps int8 [1, 2], scale 0.25, zero point 4", "ids int32 [1, 2]");
        pick(activity);
        shows(activity, "age:. age 31.5. ids, steps:. ids [2]: 7e+04, -3. steps [2]: -1, 2.");
        picture(activity, "several");
    }

    private void pushDetector(String name, String... changes) throws Exception {
        Samples.detector(app.fake);
        push(name + ".tflite", Samples.FILE);
        push(name + ".json", Samples.detectorRecord(changes).getBytes("UTF-8"));
    }

    private static SeekBar bar(MainActivity activity, int which) {
        List<SeekBar> found = all(activity.getWindow().getDecorView(), SeekBar.class);
        assertEquals(2, found.size());
        return found.get(which);
    }

    private static <T extends View> List<T> all(View in, Class<T> kind) {
        List<T> out = new ArrayList<T>();
        if (kind.isInstance(in)) {
            out.add(kind.cast(in));
        }
        for (int i = 0; in instanceof ViewGroup && i < ((ViewGroup) in).getChildCount(); i++) {
            out.addAll(all(((ViewGroup) in).getChildAt(i), kind));
        }
        return out;
    }

    private static String boxes(MainActivity activity) {
        return String.valueOf(find(activity.getWindow().getDecorView(), FramesView.class, null).getContentDescription());
    }

    @Test
    public void boxesLieOverThePicture() throws Exception {
        pushDetector("tiny");
        MainActivity activity = open();
        pick(activity);
        shows(activity, "cat 88.1 %", "cat (2) 40.1 %", "Boxes from 30 % on", "Overlap up to 60 %");
        assertEquals("cat at 0, 0 to 2, 3. cat (2) at 1, 0 to 3, 3. ", boxes(activity));
        picture(activity, "boxes");
        // A picture of 3 x 3 in a view of 240 x 320: 240 x 240 in the middle.
        FramesView view = find(activity.getWindow().getDecorView(), FramesView.class, null);
        Bitmap drawn = Bitmap.createBitmap(view.getWidth(), view.getHeight(), Bitmap.Config.ARGB_8888);
        view.draw(new Canvas(drawn));
        int side = view.getWidth();
        int top = (view.getHeight() - side) / 2;
        int colour = 0xffe6194b;
        assertEquals("the first one's right side", colour, drawn.getPixel(side / 2, top + side / 2));
        assertEquals("the second one's left side", colour, drawn.getPixel(side / 4, top + side / 2));
        assertEquals("between them", 0, drawn.getPixel(3 * side / 8, top + side / 2));
        assertEquals("above the picture", 0, drawn.getPixel(side - 2, top / 2));
        bar(activity, 0).setProgress(50);
        assertEquals("cat at 0, 0 to 2, 3. ", boxes(activity));
        assertFalse(words(activity).contains("cat (2)"));
        bar(activity, 0).setProgress(20);
        bar(activity, 1).setProgress(20);
        settle(activity);
        assertEquals("overlaps by a quarter", "cat at 0, 0 to 2, 3. ", boxes(activity));
        shows(activity, "Overlap up to 20 %");
        bar(activity, 1).setProgress(30);
        settle(activity);
        assertTrue(boxes(activity).contains("cat (2)"));
        activity.engine().run(Samples.grey(30, 60, 90)); // as the camera's frames come
        settle(activity);
        assertEquals("cat at 0, 0 to 30, 30. cat (2) at 15, 0 to 60, 30. ", boxes(activity));
    }

    @Test
    public void aModelBesideShowsItsBoxesToo() throws Exception {
        pushDetector("float", "'cat'", "'lion'");
        pushDetector("int8");
        MainActivity activity = open();
        List<Spinner> pickers = all(activity.getWindow().getDecorView(), Spinner.class);
        assertEquals("none", pickers.get(1).getSelectedItem());
        pickers.get(1).setSelection(2);
        settle(activity);
        assertEquals("int8", pickers.get(1).getSelectedItem());
        pick(activity);
        shows(activity, "float:. lion 88.1 %. lion (2) 40.1 %. int8:. cat 88.1 %. cat (2) 40.1 %.", "beside");
        assertTrue(boxes(activity).startsWith("lion at 0, 0 to 2, 3. lion (2) at 1, 0 to 3, 3. cat at 0, 0 to 2, 3."));
        picture(activity, "beside");
        pickers.get(1).setSelection(0);
        settle(activity);
        assertFalse(boxes(activity).contains("cat"));
    }

    @Test
    public void aSelfTestIsByTheRecordsThresholds() throws Exception {
        pushDetector("tiny");
        StringBuilder hex = new StringBuilder("{\"boxes\": \"");
        hex.append(Bytes.hex(app.fake.answers.get(0))).append("\", \"scores\": \"");
        hex.append(Bytes.hex(app.fake.answers.get(1))).append("\"}");
        push("tiny.selftest.json", ("{\"sha256\": \"" + Bytes.sha256(Samples.FILE) + "\", \"input_hex\": \"05050505\","
                + " \"output_hex\": " + hex + ", \"max_steps\": 2, \"runtime\": \"a PC\"}").getBytes("UTF-8"));
        push("tiny.selftest.png", png(90));
        MainActivity activity = open();
        bar(activity, 1).setProgress(10);
        settle(activity);
        click(activity, R.string.self_test);
        shows(activity, "passed: input bytes equal, output bytes equal");
        assertEquals("cat at 0, 0 to 2, 3. ", boxes(activity));
    }

    @Test
    public void aRecordOfBeforeRunsAsItDid() throws Exception {
        push("tiny.tflite", Samples.FILE);
        push("tiny.json", Samples.record1().getBytes("UTF-8"));
        MainActivity activity = open();
        pick(activity);
        shows(activity, "tiny.shoes", "Ankle boot 70.5 %", "Bag 25.9 %");
    }

    @Test
    public void aPickerOpensTheModelAnew() throws Exception {
        pushModel("tiny");
        MainActivity activity = open();
        int closed = app.fake.closed;
        find(activity.getWindow().getDecorView(), Switch.class, null).setChecked(false);
        settle(activity);
        assertEquals("11 bytes, 1 threads, false", app.fake.opened);
        assertEquals("the one before is closed", closed + 1, app.fake.closed);
    }

    @Test
    public void selfTestPassesOnTheBytesOfThePc() throws Exception {
        pushModel("tiny");
        pushSelfTest("tiny", "00080c");
        MainActivity activity = open();
        click(activity, R.string.self_test);
        shows(activity, "passed: input bytes equal, output bytes equal", "Ankle boot");
        picture(activity, "self-test");
    }

    @Test
    public void selfTestSaysWhatDiffers() throws Exception {
        pushModel("tiny");
        pushSelfTest("tiny", "007f0c");
        MainActivity activity = open();
        click(activity, R.string.self_test);
        shows(activity, "FAILED: input bytes equal, 1 output values differ, by up to 119.0; the answer is another");
        picture(activity, "self-test-failed");
    }

    @Test
    public void aMismatchIsNamedOnTheScreen() throws Exception {
        pushModel("tiny", "'scale': 0.5", "'scale': 0.125");
        MainActivity activity = open();
        shows(activity, "input scale: the record says 0.125, the file has 0.5");
        picture(activity, "mismatch");
    }

    @Test
    public void aModelWithoutASelfTestSaysSo() throws Exception {
        pushModel("tiny");
        MainActivity activity = open();
        click(activity, R.string.self_test);
        shows(activity, "tiny came without a self-test");
    }

    @Test
    public void aDeniedCameraIsSaid() throws Exception {
        pushModel("tiny");
        MainActivity activity = open();
        activity.cameraWanted();
        activity.onRequestPermissionsResult(2, new String[] {"android.permission.CAMERA"},
                new int[] {PackageManager.PERMISSION_DENIED});
        shows(activity, "The camera is not allowed");
    }

    @Test
    public void picturesComeOutWithTheirPixels() throws Exception {
        Bitmap bitmap = Bitmap.createBitmap(2, 1, Bitmap.Config.ARGB_8888);
        bitmap.setPixel(0, 0, 0xff010203);
        bitmap.setPixel(1, 0, 0xfffdfeff);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        bitmap.compress(Bitmap.CompressFormat.PNG, 100, out);
        Picture picture = Pictures.decode(out.toByteArray(), "a.png");
        assertEquals("010203fdfeff", Bytes.hex(picture.rgb));
    }

    @Test
    public void whatIsNoClearPictureIsRefused() throws Exception {
        Bitmap bitmap = Bitmap.createBitmap(2, 1, Bitmap.Config.ARGB_8888);
        bitmap.eraseColor(0x80ffffff);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        bitmap.compress(Bitmap.CompressFormat.PNG, 100, out);
        assertEquals("a.png: has transparent pixels; flatten it onto a background of your choice",
                refusal(out.toByteArray()));
        assertTrue(refusal("no image".getBytes()).startsWith("a.png: not an image"));
        byte[] deep = png(90);
        deep[24] = 16;
        assertTrue(refusal(deep).contains("16 bits a channel"));
    }

    private static String refusal(byte[] file) {
        try {
            Pictures.decode(file, "a.png");
            return "taken";
        } catch (DemoException error) {
            return error.getMessage();
        }
    }

    private Map<?, ?> benchmark(Intent intent, String file) throws Exception {
        intent.setComponent(new ComponentName(app, BenchmarkActivity.class));
        ActivityController<BenchmarkActivity> controller = Robolectric.buildActivity(BenchmarkActivity.class, intent).setup();
        BenchmarkActivity activity = controller.get();
        picture(activity, "benchmark");
        activity.measuring().join(60000);
        shadowOf(Looper.getMainLooper()).idle();
        assertTrue("ends by itself", activity.isFinishing());
        File out = new File(app.benchmarks(), file);
        byte[] written = Bytes.read(new FileInputStream(out));
        String folder = System.getProperty("tfeff.screens");
        if (folder != null) { // tests of `tfeff bench --app` read them
            try (FileOutputStream copy = new FileOutputStream(new File(folder, "benchmark." + file))) {
                copy.write(written);
            }
        }
        return (Map<?, ?>) Json.parse(new String(written, "UTF-8"));
    }

    @Test
    public void theBenchmarkIntentWritesItsFigures() throws Exception {
        pushModel("tiny");
        pushSelfTest("tiny", "00080c");
        Intent intent = new Intent().putExtra("model", "tiny").putExtra("threads", 2).putExtra("xnnpack", false)
                .putExtra("warmup", 1).putExtra("runs", 4).putExtra("out", "run-1.json");
        Map<?, ?> found = benchmark(intent, "run-1.json");
        assertEquals("ok", found.get("status"));
        assertEquals("11 bytes, 2 threads, false", app.fake.opened);
        assertEquals(4.0, ((Map<?, ?>) found.get("inference")).get("runs"));
        assertEquals(true, ((Map<?, ?>) found.get("self_test")).get("passed"));
        assertEquals(35.0, ((Map<?, ?>) found.get("device")).get("api"));
        assertEquals(false, ((Map<?, ?>) found.get("device")).get("locked"));
        assertEquals(true, ((Map<?, ?>) found.get("device")).get("screen_on"));
        assertEquals("no half-written file stays", 1, app.benchmarks().list().length);
        File out = new File(app.benchmarks(), "run-1.json");
        assertTrue("adb's user reads it", Files.getPosixFilePermissions(out.toPath()).contains(PosixFilePermission.OTHERS_READ));
        for (File folder : new File[] {app.benchmarks(), app.pushed()}) {
            String rights = PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.toPath()));
            assertEquals("adb's user works in it", "rwx", rights.substring(6));
        }
    }

    @Test
    public void theBenchmarkIntentSaysWhatIsWrong() throws Exception {
        assertTrue(benchmark(new Intent().putExtra("model", "nobody"), "result.json").toString().contains("no model 'nobody'"));
        Map<?, ?> name = benchmark(new Intent().putExtra("model", "x").putExtra("out", "../../evil.json"), "result.json");
        assertEquals("error", name.get("status"));
        assertTrue(name.toString().contains("is not a plain file name"));
    }
}
