package org.tfeff.demo;

import android.app.Activity;
import android.graphics.Bitmap;
import android.graphics.Typeface;
import android.view.Gravity;
import android.view.TextureView;
import android.view.View;
import android.view.ViewGroup;
import android.widget.AdapterView;
import android.widget.ArrayAdapter;
import android.widget.Button;
import android.widget.CompoundButton;
import android.widget.FrameLayout;
import android.widget.ImageView;
import android.widget.LinearLayout;
import android.widget.ScrollView;
import android.widget.Spinner;
import android.widget.Switch;
import android.widget.TextView;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.tfeff.demo.core.Picture;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Record;
import org.tfeff.demo.core.Session;
import org.tfeff.demo.core.Timings;
import org.tfeff.demo.core.tasks.Frame;
import org.tfeff.demo.core.tasks.Line;

/** The views of the main screen, and what is written into them. */
final class Screen {
    private static final int INK = 0xff1f3a4d;
    private static final int GOOD = 0xff00695c;
    private static final int BAD = 0xffb00020;

    /** What the user does. */
    interface Listener {
        void settingsChanged();

        void overlapChanged(double most);

        void cameraWanted();

        void pickWanted();

        void selfTestWanted();

        void rescan();
    }

    final View root;
    final TextureView preview;
    private final Activity activity;
    private final Spinner models;
    private final Spinner beside;
    private final Spinner threads;
    private final Switch xnnpack;
    private final Button cameraButton;
    private final ImageView still;
    private final FramesView frames;
    private final Thresholds thresholds;
    private final TextView message;
    private final TextView about;
    private final TextView times;
    private final AnswerView answer;
    private String chosen = ""; // the settings that the listener was told last
    private List<Engine.Run> runs = Collections.emptyList(); // the last
    private Picture shown; // their picture

    Screen(Activity activity, final Listener listener) {
        this.activity = activity;
        LinearLayout column = new LinearLayout(activity);
        column.setOrientation(LinearLayout.VERTICAL);
        column.setPadding(dp(12), dp(8), dp(12), dp(12));
        models = new Spinner(activity);
        beside = new Spinner(activity);
        threads = new Spinner(activity);
        threads.setAdapter(items(threadChoices()));
        xnnpack = new Switch(activity);
        xnnpack.setText(R.string.xnnpack);
        xnnpack.setChecked(true);
        column.addView(row(label(R.string.model), models));
        column.addView(row(label(R.string.beside), beside));
        column.addView(row(label(R.string.threads), threads, xnnpack));

        preview = new TextureView(activity);
        preview.setVisibility(View.INVISIBLE);
        still = new ImageView(activity);
        still.setScaleType(ImageView.ScaleType.FIT_CENTER);
        FrameLayout picture = new FrameLayout(activity);
        picture.setBackgroundColor(0xffe4eaee);
        picture.addView(preview);
        picture.addView(still);
        frames = new FramesView(activity);
        picture.addView(frames);
        LinearLayout.LayoutParams centred = new LinearLayout.LayoutParams(dp(240), dp(320));
        centred.gravity = Gravity.CENTER_HORIZONTAL;
        centred.topMargin = dp(4);
        column.addView(picture, centred);

        cameraButton = button(R.string.camera);
        Button pick = button(R.string.pick);
        Button test = button(R.string.self_test);
        Button rescan = button(R.string.rescan);
        column.addView(row(cameraButton, pick));
        column.addView(row(test, rescan));
        thresholds = new Thresholds(activity, text(14), text(14), new Thresholds.Listener() {
            @Override
            public void scoreChanged() {
                redraw();
            }

            @Override
            public void overlapChanged(double most) {
                listener.overlapChanged(most);
            }
        });
        column.addView(thresholds.root);
        message = text(15);
        about = text(12);
        times = text(13);
        times.setTypeface(Typeface.MONOSPACE);
        answer = new AnswerView(activity);
        column.addView(message);
        column.addView(answer);
        column.addView(times);
        column.addView(about);
        ScrollView scroll = new ScrollView(activity);
        scroll.setBackgroundColor(0xffffffff);
        scroll.addView(column);
        root = scroll;
        listen(listener, pick, test, rescan);
    }

    private void listen(final Listener listener, final Button pick, final Button test, final Button rescan) {
        AdapterView.OnItemSelectedListener selected = new AdapterView.OnItemSelectedListener() {
            @Override
            public void onItemSelected(AdapterView<?> parent, View view, int position, long id) {
                tell(listener);
            }

            @Override
            public void onNothingSelected(AdapterView<?> parent) {}
        };
        models.setOnItemSelectedListener(selected);
        beside.setOnItemSelectedListener(selected);
        threads.setOnItemSelectedListener(selected);
        xnnpack.setOnCheckedChangeListener(new CompoundButton.OnCheckedChangeListener() {
            @Override
            public void onCheckedChanged(CompoundButton button, boolean checked) {
                tell(listener);
            }
        });
        View.OnClickListener clicked = new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                if (view == cameraButton) {
                    listener.cameraWanted();
                } else if (view == pick) {
                    listener.pickWanted();
                } else if (view == test) {
                    listener.selfTestWanted();
                } else {
                    listener.rescan();
                }
            }
        };
        for (Button one : new Button[] {cameraButton, pick, test, rescan}) {
            one.setOnClickListener(clicked);
        }
    }

    /** Android calls the pickers' listeners also when they are filled; only a change is passed on. */
    private void tell(Listener listener) {
        String now = settings();
        if (!now.equals(chosen)) {
            chosen = now;
            listener.settingsChanged();
        }
    }

    private String settings() {
        return model() + "|" + beside() + "|" + threadCount() + "|" + xnnpack();
    }

    /** Fills the picker; the model chosen before stays chosen where it is still there. */
    void models(List<String> names) {
        int position = Math.max(0, names.indexOf(model()));
        List<String> others = new ArrayList<String>(names);
        others.add(0, activity.getString(R.string.none));
        int other = Math.max(0, others.indexOf(beside()));
        models.setAdapter(items(names));
        beside.setAdapter(items(others));
        beside.setSelection(other);
        if (!names.isEmpty()) {
            models.setSelection(position);
        }
        chosen = settings();
    }

    /** Name of the chosen model; null when there is none. */
    String model() {
        return (String) models.getSelectedItem();
    }

    /** Name of the model that is shown beside; null for none. */
    String beside() {
        return beside.getSelectedItemPosition() > 0 ? (String) beside.getSelectedItem() : null;
    }

    int threadCount() {
        return Integer.parseInt((String) threads.getSelectedItem());
    }

    boolean xnnpack() {
        return xnnpack.isChecked();
    }

    void noCamera(String why) {
        cameraButton.setEnabled(false);
        cameraButton.setContentDescription(why);
    }

    void showCamera() {
        forget();
        still.setVisibility(View.GONE);
        preview.setVisibility(View.VISIBLE);
    }

    void showStill(Bitmap bitmap) {
        forget();
        preview.setVisibility(View.INVISIBLE);
        still.setVisibility(View.VISIBLE);
        still.setImageBitmap(bitmap);
    }

    /** What was seen in a picture that is gone. */
    private void forget() {
        runs = Collections.emptyList();
        frames.clear();
    }

    void clear() {
        forget();
        message.setText("");
        times.setText("");
        about.setText("");
        answer.clear();
    }

    void opened(Session session) {
        Record record = session.model.record;
        thresholds.opened(session);
        StringBuilder outputs = new StringBuilder();
        for (Port port : record.outputs) {
            outputs.append("\nout: ").append(port);
        }
        about.setText(record.network + ", " + record.precision + ", " + session.model.place + "\nin: " + record.input
                + outputs + "\nresize: " + record.preprocessing.resize + " to "
                + record.preprocessing.resizeHeight + " x " + record.preprocessing.resizeWidth + ", cut to "
                + record.preprocessing.height + " x " + record.preprocessing.width + ", "
                + record.preprocessing.colour + "\nopened in " + milliseconds(session.openMs) + " ms");
    }

    /** What the model says of a picture, and what the one beside does where there is one. */
    void results(List<Engine.Run> runs, Picture shown) {
        this.runs = runs;
        this.shown = shown;
        message.setText("");
        redraw();
        Session session = runs.get(0).session;
        times.setText(String.format(Locale.ROOT, "%-12s %9s %9s", "ms", "median", "p90")
                + line("prepare", session.preprocessing) + line("inference", session.inference)
                + line("answer", session.postprocessing)
                + (runs.size() > 1 ? line("beside", runs.get(1).session.inference) : "")
                + "\nof the last " + session.inference.size());
    }

    /** The last answers by the sliders as they stand. */
    private void redraw() {
        if (runs.isEmpty()) {
            return;
        }
        List<Line> lines = new ArrayList<Line>();
        List<List<Frame>> boxes = new ArrayList<List<Frame>>();
        for (Engine.Run run : runs) {
            if (runs.size() > 1) {
                lines.add(Line.heading(Collections.singletonList(run.session.model.name)));
            }
            lines.addAll(lines(run.session.model.record, run.result, thresholds.least()));
            boxes.add(run.result.frames(thresholds.least()));
        }
        answer.show(lines);
        frames.show(boxes, shown.height, shown.width);
    }

    /** The answers of all tasks; of several, each under the names of its outputs. */
    private static List<Line> lines(Record record, Session.Result result, double least) {
        List<Line> out = new ArrayList<Line>();
        for (int i = 0; i < result.answers.size(); i++) {
            if (result.answers.size() > 1) {
                out.add(Line.heading(record.tasks.get(i).outputs));
            }
            out.addAll(result.answers.get(i).lines(least));
        }
        return out;
    }

    void verdict(String text, boolean good) {
        message.setTextColor(good ? GOOD : BAD);
        message.setText(text);
    }

    void error(String text) {
        forget();
        answer.clear();
        times.setText("");
        verdict(text, false);
    }

    private static String line(String name, Timings timings) {
        return String.format(Locale.ROOT, "\n%-12s %9s %9s", name, milliseconds(timings.median()),
                milliseconds(timings.p90()));
    }

    private static String milliseconds(double ms) {
        return String.format(Locale.ROOT, ms < 10 ? "%.3f" : "%.1f", ms);
    }

    private static List<String> threadChoices() {
        List<String> out = new ArrayList<String>();
        int cores = java.lang.Runtime.getRuntime().availableProcessors();
        for (int n = 1; n <= Math.max(4, cores); n *= 2) {
            out.add(String.valueOf(n));
        }
        return out;
    }

    private ArrayAdapter<String> items(List<String> names) {
        ArrayAdapter<String> out = new ArrayAdapter<String>(activity, android.R.layout.simple_spinner_item, names);
        out.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
        return out;
    }

    private LinearLayout row(View... views) {
        LinearLayout row = new LinearLayout(activity);
        row.setGravity(Gravity.CENTER_VERTICAL);
        for (View view : views) {
            boolean wide = !(view instanceof TextView) || view instanceof Button;
            row.addView(view, new LinearLayout.LayoutParams(wide ? 0 : ViewGroup.LayoutParams.WRAP_CONTENT,
                    ViewGroup.LayoutParams.WRAP_CONTENT, wide ? 1 : 0));
        }
        return row;
    }

    private TextView label(int id) {
        TextView out = text(14);
        out.setText(id);
        return out;
    }

    private TextView text(int size) {
        TextView out = new TextView(activity);
        out.setTextSize(size);
        out.setTextColor(INK);
        out.setPadding(0, dp(4), dp(8), 0);
        return out;
    }

    private Button button(int id) {
        Button out = new Button(activity);
        out.setText(id);
        out.setAllCaps(false);
        return out;
    }

    private int dp(int value) {
        return Math.round(value * activity.getResources().getDisplayMetrics().density);
    }
}
