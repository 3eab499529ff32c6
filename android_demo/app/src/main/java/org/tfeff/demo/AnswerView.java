package org.tfeff.demo;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.text.Layout;
import android.text.StaticLayout;
import android.text.TextPaint;
import android.text.TextUtils;
import android.view.View;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.tfeff.demo.core.tasks.Line;

/** What a model says: a line with a score has its text, a bar and the score in percent; one without has its text alone. */
final class AnswerView extends View {
    private final float density;
    private final TextPaint ink = new TextPaint(Paint.ANTI_ALIAS_FLAG);
    private final Paint bar = new Paint();
    private List<Line> lines = Collections.emptyList();
    private List<StaticLayout> texts = Collections.emptyList(); // of the lines without a score, null for the others

    AnswerView(Context context) {
        super(context);
        density = getResources().getDisplayMetrics().density;
        ink.setTextSize(15 * getResources().getDisplayMetrics().scaledDensity);
        ink.setColor(0xff1f3a4d);
        bar.setColor(0xff4dd0c1);
    }

    void show(List<Line> lines) {
        this.lines = lines;
        StringBuilder spoken = new StringBuilder();
        for (Line one : lines) {
            spoken.append(one.text).append(one.hasScore() ? " " + percent(one) : "").append(". ");
        }
        setContentDescription(spoken);
        int before = height();
        lay(getWidth());
        if (height() != before) {
            requestLayout();
        }
        invalidate();
    }

    void clear() {
        show(Collections.<Line>emptyList());
    }

    private static String percent(Line one) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * one.score);
    }

    private void lay(int width) {
        List<StaticLayout> out = new ArrayList<StaticLayout>();
        for (Line one : lines) {
            out.add(one.hasScore() || width <= 0 ? null
                    : new StaticLayout(one.text, ink, width, Layout.Alignment.ALIGN_NORMAL, 1, 0, false));
        }
        texts = out;
    }

    private float line() {
        return ink.getFontSpacing() + 8 * density;
    }

    private float height(int i) {
        StaticLayout text = texts.get(i);
        return text == null ? line() : text.getHeight() + 8 * density;
    }

    private int height() {
        float sum = 0;
        for (int i = 0; i < texts.size(); i++) {
            sum += height(i);
        }
        return (int) Math.ceil(sum);
    }

    @Override
    protected void onMeasure(int width, int height) {
        lay(MeasureSpec.getSize(width));
        setMeasuredDimension(MeasureSpec.getSize(width), height());
    }

    @Override
    protected void onDraw(Canvas canvas) {
        float top = 0;
        for (int i = 0; i < lines.size(); i++) {
            if (texts.get(i) == null) {
                scored(canvas, lines.get(i), top);
            } else {
                canvas.save();
                canvas.translate(0, top + 4 * density);
                texts.get(i).draw(canvas);
                canvas.restore();
            }
            top += height(i);
        }
    }

    private void scored(Canvas canvas, Line one, float top) {
        float names = getWidth() * 0.45f;
        float figures = ink.measureText("100.0 %") + 6 * density;
        float room = getWidth() - names - figures;
        float base = top + 4 * density - ink.getFontMetrics().ascent;
        CharSequence name = TextUtils.ellipsize(one.text, ink, names - 8 * density, TextUtils.TruncateAt.END);
        canvas.drawText(name, 0, name.length(), 0, base, ink);
        float length = Math.max(1, (float) (room * one.score));
        canvas.drawRect(names, top + 5 * density, names + length, top + line() - 3 * density, bar);
        String figure = percent(one);
        canvas.drawText(figure, getWidth() - ink.measureText(figure), base, ink);
    }
}
