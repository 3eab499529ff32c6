package org.tfeff.demo;

import android.app.Activity;
import android.app.KeyguardManager;
import android.content.Intent;
import android.os.Build;
import android.os.Bundle;
import android.os.Handler;
import android.os.Looper;
import android.os.PowerManager;
import android.view.WindowManager;
import android.widget.TextView;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tfeff.demo.core.Benchmark;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Json;
import org.tfeff.demo.core.Model;
import org.tfeff.demo.core.Picture;
import org.tfeff.demo.core.Runtime;
import org.tfeff.demo.core.SelfTest;
import org.tfeff.demo.core.Shelf;

/**
 * Times one model as the intent's extras say, writes the figures as JSON into the app's `files/benchmarks` folder, and
 * ends. Started by `adb shell am start`; see docs/android-demo.md. It is an activity, so that Android gives it the
 * cores of an app that is in front.
 */
public class BenchmarkActivity extends Activity {
    private final Handler main = new Handler(Looper.getMainLooper());
    private Thread measuring;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        start(getIntent());
    }

    @Override
    protected void onNewIntent(Intent intent) {
        start(intent); // the run before this one goes on; the two take turns
    }

    final Thread measuring() {
        return measuring;
    }

    private void start(Intent intent) {
        final String model = String.valueOf(intent.getStringExtra("model"));
        final int threads = intent.getIntExtra("threads", 1);
        final boolean xnnpack = intent.getBooleanExtra("xnnpack", true);
        final int warmup = intent.getIntExtra("warmup", 5);
        final int runs = intent.getIntExtra("runs", 50);
        final String out = intent.getStringExtra("out") == null ? "result.json" : intent.getStringExtra("out");
        final Thread before = measuring;
        TextView text = new TextView(this);
        text.setTextSize(18);
        text.setPadding(48, 48, 48, 48);
        text.setText(getString(R.string.measuring, model));
        setContentView(text);
        measuring = new Thread("benchmark") {
            @Override
            public void run() {
                waitFor(before);
                Map<String, Object> answer;
                try {
                    answer = measure(new Benchmark(model, threads, xnnpack, warmup, runs));
                } catch (DemoException error) {
                    answer = Benchmark.failure(model, error.getMessage());
                } catch (OutOfMemoryError error) {
                    answer = Benchmark.failure(model, "not enough memory");
                }
                answer.put("device", device());
                write(out, answer);
                final Thread me = this;
                main.post(new Runnable() {
                    @Override
                    public void run() {
                        if (measuring == me) { // no other run was asked for meanwhile
                            finish();
                        }
                    }
                });
            }
        };
        measuring.start();
    }

    private static void waitFor(Thread before) {
        try {
            if (before != null) {
                before.join();
            }
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private Map<String, Object> measure(Benchmark benchmark) throws DemoException {
        DemoApplication app = (DemoApplication) getApplication();
        Shelf shelf = app.shelf();
        Runtime runtime = app.runtime();
        Model model = shelf.open(benchmark.model);
        SelfTest test = shelf.selfTest(model);
        byte[] file = test == null ? null : shelf.selfTestPicture(model);
        Picture picture;
        if (file == null) { // times do not depend on the pixels; nothing is compared
            test = null;
            int height = model.record.preprocessing.resizeHeight;
            int width = model.record.preprocessing.resizeWidth;
            picture = new Picture(height, width, new byte[height * width * 3]);
        } else {
            picture = Pictures.decode(file, model.name + ".selftest.png");
        }
        return new LinkedHashMap<String, Object>(benchmark.run(runtime, model, picture, test));
    }

    /** Whose figures they are, and whether Android gave the app the cores of one that is in front. */
    private Map<String, Object> device() {
        Map<String, Object> device = new LinkedHashMap<String, Object>();
        device.put("manufacturer", Build.MANUFACTURER);
        device.put("model", Build.MODEL);
        device.put("android", Build.VERSION.RELEASE);
        device.put("api", Build.VERSION.SDK_INT);
        device.put("fingerprint", Build.FINGERPRINT);
        device.put("abi", Build.SUPPORTED_ABIS.length > 0 ? Build.SUPPORTED_ABIS[0] : "");
        device.put("cores", java.lang.Runtime.getRuntime().availableProcessors());
        device.put("screen_on", ((PowerManager) getSystemService(POWER_SERVICE)).isInteractive());
        device.put("locked", ((KeyguardManager) getSystemService(KEYGUARD_SERVICE)).isKeyguardLocked());
        return device;
    }

    /** Whole or not at all: a reader who finds the file finds all of it. */
    private void write(String name, Map<String, Object> answer) {
        File folder = ((DemoApplication) getApplication()).benchmarks();
        boolean plain = name.matches("[A-Za-z0-9._-]{1,100}") && !name.startsWith(".");
        File to = new File(folder, plain ? name : "result.json");
        File part = new File(folder, to.getName() + ".part");
        if (!plain) {
            answer = Benchmark.failure(String.valueOf(answer.get("model")), "out: '" + name + "' is not a plain file name");
            answer.put("device", device());
        }
        try {
            FileOutputStream stream = new FileOutputStream(part);
            try {
                stream.write(Json.write(answer).getBytes("UTF-8"));
            } finally {
                stream.close();
            }
            part.setReadable(true, false); // Java makes files that only their owner reads, and adb's user is another
            if (!part.renameTo(to)) {
                throw new IOException("cannot be renamed");
            }
        } catch (IOException error) {
            part.delete();
            android.util.Log.e("tfeff", to + " cannot be written", error);
        }
    }
}
