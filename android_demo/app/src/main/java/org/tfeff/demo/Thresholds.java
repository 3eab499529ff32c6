package org.tfeff.demo;

import android.app.Activity;
import android.view.View;
import android.widget.LinearLayout;
import android.widget.SeekBar;
import android.widget.TextView;
import org.tfeff.demo.core.Session;
import org.tfeff.demo.core.tasks.Answer;
import org.tfeff.demo.core.tasks.TaskSpec;

/** Two sliders: from which score on a box is shown, and up to which overlap two of a class stay. */
final class Thresholds {
    static final String OVERLAP = "iou_threshold"; // as the record calls it

    /** What the user does. */
    interface Listener {
        void scoreChanged();

        void overlapChanged(double most);
    }

    final LinearLayout root;
    private final Activity activity;
    private final SeekBar score;
    private final SeekBar overlap;
    private final TextView scoreText;
    private final TextView overlapText;
    private boolean told; // whether the user moved the slider, rather than `opened`

    Thresholds(Activity activity, TextView scoreText, TextView overlapText, final Listener listener) {
        this.activity = activity;
        this.scoreText = scoreText;
        this.overlapText = overlapText;
        score = bar(R.string.score_from);
        overlap = bar(R.string.overlap_to);
        root = new LinearLayout(activity);
        root.setOrientation(LinearLayout.VERTICAL);
        for (View one : new View[] {scoreText, score, overlapText, overlap}) {
            root.addView(one);
        }
        score.setProgress((int) Math.round(100 * Answer.SEEN));
        root.setVisibility(View.GONE);
        SeekBar.OnSeekBarChangeListener moved = new SeekBar.OnSeekBarChangeListener() {
            @Override
            public void onProgressChanged(SeekBar bar, int progress, boolean fromUser) {
                write();
                if (bar == score) {
                    listener.scoreChanged();
                } else if (told) {
                    listener.overlapChanged(progress / 100.0);
                }
            }

            @Override
            public void onStartTrackingTouch(SeekBar bar) {}

            @Override
            public void onStopTrackingTouch(SeekBar bar) {}
        };
        score.setOnSeekBarChangeListener(moved);
        overlap.setOnSeekBarChangeListener(moved);
        write();
    }

    private SeekBar bar(int name) {
        SeekBar out = new SeekBar(activity);
        out.setMax(100);
        out.setContentDescription(activity.getString(name, 0).replaceAll(" *0 %", ""));
        return out;
    }

    private void write() {
        scoreText.setText(activity.getString(R.string.score_from, score.getProgress()));
        overlapText.setText(activity.getString(R.string.overlap_to, overlap.getProgress()));
    }

    /** Shown for models whose boxes are told apart by these numbers; the overlap begins at the record's. */
    void opened(Session session) {
        double most = Double.NaN;
        boolean decided = false; // in the file itself
        for (TaskSpec task : session.model.record.tasks) {
            most = Double.isNaN(most) ? task.number(OVERLAP) : most;
            decided |= task.says("listed");
        }
        overlap.setVisibility(decided ? View.GONE : View.VISIBLE);
        overlapText.setVisibility(decided ? View.GONE : View.VISIBLE);
        root.setVisibility(Double.isNaN(most) ? View.GONE : View.VISIBLE);
        if (!Double.isNaN(most)) {
            told = false;
            overlap.setProgress((int) Math.round(100 * most));
            told = true;
        }
    }

    /** The score from which on a box is shown. */
    double least() {
        return score.getProgress() / 100.0;
    }
}
