package org.tfeff.demo;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.text.TextPaint;
import android.text.TextUtils;
import android.view.View;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.tfeff.demo.core.Record;
import org.tfeff.demo.core.Scores;

/** One line a class: its label, a bar, its share in percent. */
final class ScoreBars extends View {
    private final float density;
    private final TextPaint ink = new TextPaint(Paint.ANTI_ALIAS_FLAG);
    private final Paint bar = new Paint();
    private List<Scores.Entry> entries = Collections.emptyList();
    private Record record;

    ScoreBars(Context context) {
        super(context);
        density = getResources().getDisplayMetrics().density;
        ink.setTextSize(15 * getResources().getDisplayMetrics().scaledDensity);
        ink.setColor(0xff1f3a4d);
        bar.setColor(0xff4dd0c1);
    }

    void show(Record record, List<Scores.Entry> entries) {
        boolean taller = entries.size() != this.entries.size();
        this.record = record;
        this.entries = entries;
        StringBuilder spoken = new StringBuilder();
        for (Scores.Entry one : entries) {
            spoken.append(record.label(one.index)).append(' ').append(percent(one)).append(". ");
        }
        setContentDescription(spoken);
        if (taller) {
            requestLayout();
        }
        invalidate();
    }

    void clear() {
        show(null, Collections.<Scores.Entry>emptyList());
    }

    private static String percent(Scores.Entry one) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * one.score);
    }

    private float line() {
        return ink.getFontSpacing() + 8 * density;
    }

    @Override
    protected void onMeasure(int width, int height) {
        setMeasuredDimension(MeasureSpec.getSize(width), (int) Math.ceil(line() * entries.size()));
    }

    @Override
    protected void onDraw(Canvas canvas) {
        float labels = getWidth() * 0.45f;
        float figures = ink.measureText("100.0 %") + 6 * density;
        float room = getWidth() - labels - figures;
        for (int i = 0; i < entries.size(); i++) {
            Scores.Entry one = entries.get(i);
            float top = i * line();
            float base = top + 4 * density - ink.getFontMetrics().ascent;
            CharSequence label = TextUtils.ellipsize(record.label(one.index), ink, labels - 8 * density,
                    TextUtils.TruncateAt.END);
            canvas.drawText(label, 0, label.length(), 0, base, ink);
            canvas.drawRect(labels, top + 5 * density, labels + Math.max(1, room * one.score), top + line() - 3 * density,
                    bar);
            String figure = percent(one);
            canvas.drawText(figure, getWidth() - ink.measureText(figure), base, ink);
        }
    }
}
